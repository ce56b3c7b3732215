// A candidate on its way to being chosen: made, checked and measured, or out of the race for a reason.
import type { Backend } from '../backend.js';
import { describe } from '../describe.js';
import { BatchNormError } from '../errors.js';
import { assertDtype, assertWithinLimits } from '../validate.js';
import type { Batch } from './batch.js';
import { errorInKnownCase } from './known-case.js';
import type { Question } from './question.js';
import type { Candidate, CandidateReport } from './selection.js';
import { Stopwatch } from './stopwatch.js';
import { assertUsable } from './usable.js';
import { within } from './within.js';
import { Workload } from './workload.js';

export class Contender {
  readonly #candidate: Candidate;
  readonly #question: Question;
  readonly #batch: Batch;
  #report: CandidateReport;
  #backend: Backend | undefined;
  #workload: Workload | undefined;
  #stopwatch: Stopwatch | undefined;
  #failure: unknown;

  constructor(candidate: Candidate, question: Question, batch: Batch) {
    this.#candidate = candidate;
    this.#question = question;
    this.#batch = batch;
    const { name } = candidate;
    this.#report = { name, available: null, reason: 'not tried', execution: null, milliseconds: null, error: null };
  }

  get name(): string {
    return this.#candidate.name;
  }

  get report(): CandidateReport {
    return this.#report;
  }

  /** What was thrown when it went out. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Hands over the backend that `probe` made: the receiver's from now on. Undefined before, and once this is out. */
  release(): Backend | undefined {
    const backend = this.#backend;
    this.#backend = undefined;
    return backend;
  }

  /** Makes the backend and checks it in the known case, once. False: it is out. Errors: the signal's reason. */
  async probe(): Promise<boolean> {
    if (this.#report.available !== null) return this.#report.available;
    return this.#attempt(async () => {
      const { dtype, shape, timeoutMs, signal } = this.#question;
      const backend = await this.#make();
      this.#record({ execution: { ...backend.execution } });
      assertDtype(backend, dtype);
      assertWithinLimits(backend, shape);
      const error = await within(timeoutMs, signal, () => errorInKnownCase(backend, dtype));
      this.#record({ available: true, reason: null, error });
    });
  }

  /** Does the operation on the asked shape and checks what was computed. False: it is out. Errors: the signal's reason. */
  async check(): Promise<boolean> {
    return this.#attempt(async () => {
      const workload = await this.#compute(this.#question.timeoutMs, ({ run }) => run());
      workload.assertRight();
    });
  }

  /**
   * Takes one turn in timing the operation, for `shareMs` in all; then checks what the last timed call computed. False: it is out.
   * Errors: the signal's reason.
   */
  async measure(shareMs: number): Promise<boolean> {
    return this.#attempt(async () => {
      const { timeoutMs } = this.#question;
      let stopwatch!: Stopwatch;
      const workload = await this.#compute(shareMs + timeoutMs, ({ run }) => {
        this.#stopwatch ??= new Stopwatch(run, shareMs);
        stopwatch = this.#stopwatch;
        return stopwatch.turn();
      });
      if (!stopwatch.done) return;
      workload.assertRight();
      this.#record({ milliseconds: stopwatch.median });
    });
  }

  /** Frees what it holds, the backend unless it was released. Whether that works is no longer of interest to a choice. */
  async dispose(): Promise<void> {
    for (const held of [this.#workload, this.release()]) {
      if (held !== undefined) await within(this.#question.timeoutMs, undefined, () => dispose(held)).catch(() => {});
    }
    this.#workload = undefined;
  }

  async #make(): Promise<Backend> {
    const { timeoutMs, signal } = this.#question;
    let making: Promise<Backend> | undefined;
    const make = () => {
      making = (async () => this.#candidate.create())();
      return making;
    };
    try {
      const made = await within(timeoutMs, signal, make);
      assertUsable(made);
      this.#backend = made;
      return made;
    } catch (error) {
      // One that comes too late is nobody's.
      making?.then(dispose).catch(() => {});
      throw error;
    }
  }

  /** Lets the operation run, for `ms` at most, into buffers that hold no result. */
  async #compute(ms: number, calls: (workload: Workload) => Promise<void>): Promise<Workload> {
    this.#workload ??= new Workload(this.#backend!, this.#batch, this.#question);
    const workload = this.#workload;
    const work = () => workload.prepare().then(() => calls(workload));
    await within(ms, this.#question.signal, work).catch((error: unknown) => {
      // Its layer may hang in a call: nobody waits for it any longer.
      workload.dispose().catch(() => {});
      this.#workload = undefined;
      throw error;
    });
    this.#batch.assertIntact();
    return workload;
  }

  async #attempt(step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#question.signal?.throwIfAborted();
      this.#failure = error;
      this.#batch.renew();
      this.#record({ available: false, reason: reasonOf(error) });
      await this.dispose();
      return false;
    }
  }

  #record(findings: Partial<CandidateReport>): void {
    this.#report = { ...this.#report, ...findings };
  }
}

async function dispose(held: Backend | Workload): Promise<void> {
  await held?.dispose?.();
}

/** What an error says. It may be anything, and reading it may fail, too. */
function reasonOf(error: unknown): string {
  try {
    if (error instanceof BatchNormError) return `${error.code}: ${error.message}`;
    return error instanceof Error ? `${error.message}` : describe(error);
  } catch {
    return "an error that can't be read";
  }
}
