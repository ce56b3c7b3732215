// One candidate on trial: its backend is made, checked and measured, or the candidate is out, with a reason.
import {
  allocatesMemory,
  assertDtype,
  assertWithinLimits,
  type Backend,
  BatchNormError,
  describe,
} from '@batchnorm/core-api';
import { errorInKnownCase } from './known-case.js';
import type { Question } from './question.js';
import type { Candidate, CandidateReport, Pin } from './selection.js';
import { Stopwatch } from './stopwatch.js';
import { TimedOperation } from './timed-operation.js';
import { assertUsable } from './usable.js';
import { within } from './within.js';
import type { Workload } from './workload.js';

export class CandidateTrial {
  readonly #candidate: Candidate;
  readonly #question: Question;
  readonly #workload: Workload;
  #report: CandidateReport;
  #backend: Backend | undefined;
  #operation: TimedOperation | undefined;
  #stopwatch: Stopwatch | undefined;
  #failure: unknown;

  constructor(candidate: Candidate, question: Question, workload: Workload) {
    this.#candidate = candidate;
    this.#question = question;
    this.#workload = workload;
    const { name } = candidate;
    this.#report = {
      ...{ name, available: null, reason: 'not tried', error: null },
      ...{ milliseconds: null, leastMilliseconds: null, samples: null, allocatedMilliseconds: null },
      ...{ engine: null, device: null, threads: null, fallbackReason: null },
    };
  }

  get name(): string {
    return this.#candidate.name;
  }

  get report(): CandidateReport {
    return this.#report;
  }

  /** The error for which the candidate is out; undefined while it is not. */
  get failure(): unknown {
    return this.#failure;
  }

  /** What its backend runs on, once it is made. */
  get pin(): Pin {
    const { name, engine, device } = this.#report;
    return { name, engine: engine!, device: device! };
  }

  /** Hands the backend to the caller, who disposes it. Undefined before `probe`, or if the candidate is out. */
  release(): Backend | undefined {
    const backend = this.#backend;
    this.#backend = undefined;
    return backend;
  }

  /** Makes the backend and tries the known case, once. False: the candidate is out. Errors: the signal's reason. */
  async probe(): Promise<boolean> {
    if (this.#report.available !== null) return this.#report.available;
    return this.#attempt(async () => {
      const { dtype, shape, timeoutMs, signal } = this.#question;
      const backend = await this.#make();
      const { engine, device, threads, fallbackReason = null } = backend.execution;
      this.#record({ engine, device, threads, fallbackReason });
      assertDtype(backend, dtype);
      assertWithinLimits(backend, shape);
      const error = await within(timeoutMs, signal, () => errorInKnownCase(backend, dtype));
      this.#record({ available: true, reason: null, error });
    });
  }

  /** Does the operation and checks its results. False: the candidate is out. Errors: the signal's reason. */
  async check(): Promise<boolean> {
    return this.#attempt(async () => {
      const operation = await this.#compute(this.#question.timeoutMs, ({ run }) => run());
      operation.assertRight();
    });
  }

  /**
   * Times the operation for one turn. After the turn that uses up `shareMs`, checks the results of the last call and
   * reports the median time. False: the candidate is out. Errors: the signal's reason.
   */
  async measure(shareMs: number): Promise<boolean> {
    return this.#attempt(async () => {
      const { timeoutMs } = this.#question;
      let stopwatch!: Stopwatch;
      const operation = await this.#compute(shareMs + timeoutMs, ({ run }) => {
        this.#stopwatch ??= new Stopwatch(run, shareMs);
        stopwatch = this.#stopwatch;
        return stopwatch.turn();
      });
      if (!stopwatch.done) return;
      operation.assertRight();
      const { median, least, samples } = stopwatch;
      this.#record({ milliseconds: median, leastMilliseconds: least, samples });
    });
  }

  /**
   * Reports how long the operation takes with tensors that the backend allocates, if it has memory for them, and is right
   * there. Errors: the signal's reason.
   */
  async measureAllocated(shareMs: number): Promise<void> {
    const { dtype, timeoutMs, signal } = this.#question;
    if (!allocatesMemory(this.#backend!, dtype)) return;
    let operation: TimedOperation | undefined;
    const measure = async () => {
      operation = new TimedOperation(this.#backend!, this.#workload, { ...this.#question, memory: 'allocated' });
      await operation.prepare();
      const stopwatch = new Stopwatch(operation.run, shareMs);
      while (!stopwatch.done) await stopwatch.turn();
      operation.assertRight();
      this.#record({ allocatedMilliseconds: stopwatch.median });
    };
    try {
      await within(shareMs + timeoutMs, signal, measure);
    } catch {
      signal?.throwIfAborted();
    } finally {
      operation?.dispose().catch(() => {});
    }
  }

  /** Disposes the layer, and the backend unless it was released. Errors no longer matter, and are ignored. */
  async dispose(): Promise<void> {
    for (const held of [this.#operation, this.release()]) {
      if (held !== undefined) await within(this.#question.timeoutMs, undefined, () => dispose(held)).catch(() => {});
    }
    this.#operation = undefined;
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
      // A backend that is made too late has no other owner.
      making?.then(dispose).catch(() => {});
      throw error;
    }
  }

  /** Waits at most `ms` for `calls` of the operation, which write to buffers that hold no earlier result. */
  async #compute(ms: number, calls: (operation: TimedOperation) => Promise<void>): Promise<TimedOperation> {
    this.#operation ??= new TimedOperation(this.#backend!, this.#workload, this.#question);
    const operation = this.#operation;
    const work = () => operation.prepare().then(() => calls(operation));
    await within(ms, this.#question.signal, work).catch((error: unknown) => {
      // Not awaited: a call of its layer may never end.
      operation.dispose().catch(() => {});
      this.#operation = undefined;
      throw error;
    });
    this.#workload.assertIntact(operation.tensors);
    return operation;
  }

  async #attempt(step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#question.signal?.throwIfAborted();
      this.#failure = error;
      this.#workload.renew();
      this.#record({ available: false, reason: reasonOf(error) });
      await this.dispose();
      return false;
    }
  }

  #record(findings: Partial<CandidateReport>): void {
    this.#report = { ...this.#report, ...findings };
  }
}

async function dispose(held: Backend | TimedOperation): Promise<void> {
  await held?.dispose?.();
}

/** The message of an error, which may be any value, with getters that throw. */
function reasonOf(error: unknown): string {
  try {
    if (error instanceof BatchNormError) return `${error.code}: ${error.message}`;
    return error instanceof Error ? `${error.message}` : describe(error);
  } catch {
    return "an error that can't be read";
  }
}
