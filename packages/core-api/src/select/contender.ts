// A candidate on its way to being chosen: made, checked and measured, or out of the race for a reason.
import type { Backend } from '../backend.js';
import { describe } from '../describe.js';
import { BatchNormError } from '../errors.js';
import { assertDtype, assertWithinLimits, fail, isBackend } from '../validate.js';
import { errorInKnownCase } from './known-case.js';
import type { Question } from './question.js';
import type { Candidate, CandidateReport } from './selection.js';
import { Stopwatch } from './stopwatch.js';
import { within } from './within.js';
import { type Batch, makeWorkload, type Workload } from './workload.js';

export class Contender {
  readonly #candidate: Candidate;
  readonly #question: Question;
  #report: CandidateReport;
  #backend: Backend | undefined;
  #workload: Workload | undefined;
  #stopwatch: Stopwatch | undefined;
  #failure: unknown;

  constructor(candidate: Candidate, question: Question) {
    this.#candidate = candidate;
    this.#question = question;
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

  /** Makes the backend and checks it, once. False: it is out. Errors: the signal's reason. */
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

  /** What measuring it has taken so far. */
  get spentMs(): number {
    return this.#stopwatch?.spentMs ?? 0;
  }

  /** Times the operation for about `turnMs` more. False: it is out. Errors: the signal's reason. */
  async measure(batch: () => Batch, turnMs: number): Promise<boolean> {
    return this.#attempt(async () => {
      const { timeoutMs, signal } = this.#question;
      await within(turnMs + timeoutMs, signal, async (signal) => {
        this.#workload ??= await makeWorkload(this.#backend!, batch(), this.#question);
        this.#stopwatch ??= new Stopwatch(this.#workload.call);
        await this.#stopwatch.run(turnMs, signal);
      });
      this.#record({ milliseconds: this.#stopwatch!.medianMs });
    });
  }

  /** Frees what measuring has made on the backend. False: it is out. Errors: the signal's reason. */
  async endMeasuring(): Promise<boolean> {
    return this.#attempt(async () => {
      const { timeoutMs, signal } = this.#question;
      await within(timeoutMs, signal, async () => this.#workload?.layer.dispose());
    });
  }

  /** Frees the backend, if there is one. Whether that works is no longer of interest to a choice. */
  async dispose(): Promise<void> {
    const backend = this.release();
    if (backend !== undefined)
      await within(this.#question.timeoutMs, undefined, () => dispose(backend)).catch(() => {});
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
      if (!isBackend(made)) fail('INVALID_OPTION', `${describe(made)} from create()`, 'a backend of contractVersion 1');
      this.#backend = made;
      return made;
    } catch (error) {
      // One that comes too late is nobody's.
      making?.then(dispose).catch(() => {});
      throw error;
    }
  }

  async #attempt(step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#question.signal?.throwIfAborted();
      this.#failure = error;
      this.#record({ available: false, reason: reasonOf(error) });
      await this.dispose();
      return false;
    }
  }

  #record(findings: Partial<CandidateReport>): void {
    this.#report = { ...this.#report, ...findings };
  }
}

async function dispose(backend: Backend): Promise<void> {
  await backend?.dispose?.();
}

function reasonOf(error: unknown): string {
  if (error instanceof BatchNormError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : describe(error);
}
