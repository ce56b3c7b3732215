// One backend against the kit, as every report has it: its results, or why there are none.
import { type Backend, BatchNormError, type Execution, type MaybePromise } from '@batchnorm/core-api';
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

/**
 * Runs the kit on a backend called `backend`, on `platform`. Does not reject: what goes wrong is in the report, and
 * `BACKEND_UNAVAILABLE` of the factory is why it can't run here.
 */
export async function runBackend(
  backend: string,
  platform: string,
  create: () => MaybePromise<Backend>,
  options: ConformanceOptions = {},
): Promise<BackendReport> {
  let first: Backend | undefined;
  const createAndKeep = async () => {
    const instance = await create();
    first ??= instance;
    return instance;
  };
  try {
    const results = await runConformance(createAndKeep, options);
    return { ...nothing(backend, platform), execution: first!.execution, results };
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'BACKEND_UNAVAILABLE') {
      return { ...nothing(backend, platform), unavailable: error.message };
    }
    return { ...nothing(backend, platform), error: String((error as Error)?.stack ?? error) };
  }
}

/** A report without results, to which the reason is added. */
export function nothing(backend: string, platform: string): BackendReport {
  return { backend, platform, execution: null, unavailable: null, error: null, results: [] };
}
