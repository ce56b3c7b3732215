// One backend against the kit, as every report has it: its results, or why there are none.
import { type Backend, BatchNormError, type Execution, isBackend, type MaybePromise } from '@batchnorm/core-api';
import { type CaseResult, type ConformanceOptions, runConformance } from '../conformance.js';

/** What the kit found of a backend. */
export interface BackendReport {
  /** Its name in tables. */
  readonly backend: string;
  /** What it ran in, such as 'node' or 'chromium'. */
  readonly platform: string;
  readonly execution: Execution | null;
  /** Why it can't run here. */
  readonly unavailable: string | null;
  /** What went wrong outside of any case. */
  readonly error: string | null;
  readonly results: readonly CaseResult[];
}

/** How the kit runs on one backend. */
export interface BackendOptions extends ConformanceOptions {
  /**
   * How long making the backend, a case, or disposing it may take, in milliseconds; then the run ends, and is a failure
   * with the results until then. Default: for ever. A backend that computes without a pause is not interrupted.
   */
  readonly timeoutMs?: number;
}

/**
 * Runs the kit on a backend called `backend`, on `platform`. Does not reject: what goes wrong is in the report, and
 * `BACKEND_UNAVAILABLE` of the factory is why it can't run here.
 */
export async function runBackend(
  backend: string,
  platform: string,
  create: () => MaybePromise<Backend>,
  { timeoutMs, onProgress, ...options }: BackendOptions = {},
): Promise<BackendReport> {
  let first: Backend | undefined;
  const createAndKeep = async () => {
    const instance = await create();
    if (!isBackend(instance)) throw new Error('the factory gave what is no backend of contract 2');
    first ??= instance;
    return instance;
  };
  const results: CaseResult[] = [];
  const silence = new Silence(timeoutMs);
  const run = runConformance(createAndKeep, {
    ...options,
    onProgress: (result, done, total) => {
      results.push(result);
      silence.end();
      onProgress?.(result, done, total);
    },
  });
  try {
    await Promise.race([run, silence.tooLong]);
    return { ...nothing(backend, platform), execution: first!.execution, results };
  } catch (error) {
    if (error instanceof TooLong) {
      const last = results.at(-1);
      const after = last ? `after the case “${last.source} ${last.name}”, ${last.dtype}` : 'before the first case';
      const message = `no answer within ${timeoutMs! / 1000} s, ${after}`;
      return { ...nothing(backend, platform), execution: first?.execution ?? null, error: message, results };
    }
    if (error instanceof BatchNormError && error.code === 'BACKEND_UNAVAILABLE') {
      return { ...nothing(backend, platform), unavailable: error.message };
    }
    return { ...nothing(backend, platform), error: String((error as Error)?.stack ?? error) };
  } finally {
    silence.stop();
  }
}

class TooLong extends Error {}

/** The time since something last ended. */
class Silence {
  /** Rejects with `TooLong`. */
  readonly tooLong: Promise<never>;
  readonly #timeoutMs: number | undefined;
  #reject!: (reason: Error) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(timeoutMs: number | undefined) {
    this.#timeoutMs = timeoutMs;
    this.tooLong = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (this.#timeoutMs !== undefined) this.#timer = setTimeout(() => this.#reject(new TooLong()), this.#timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** A report without results, to which the reason is added. */
export function nothing(backend: string, platform: string): BackendReport {
  return { backend, platform, execution: null, unavailable: null, error: null, results: [] };
}
