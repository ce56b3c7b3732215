// One backend against the kit, on the platform that this runs on: in Node, or in the page.
import { createBackend, type Platform } from '@batchnorm/catalogue';
import { type CaseResult, type ConformanceOptions, runConformance } from '@batchnorm/conformance';
import { type Backend, BatchNormError, type Execution } from '@batchnorm/core-api';

/** The results of one backend, or why there are none. */
export interface BackendReport {
  readonly backend: string;
  readonly platform: Platform;
  readonly execution: Execution | null;
  /** Why it can't run here. */
  readonly unavailable: string | null;
  /** What went wrong outside of any case. */
  readonly error: string | null;
  readonly results: readonly CaseResult[];
}

/** Does not reject: what goes wrong is in the report. */
export async function runBackend(
  backend: string,
  platform: Platform,
  options: ConformanceOptions,
): Promise<BackendReport> {
  let first: Backend | undefined;
  const create = async () => {
    const instance = await createBackend(backend);
    first ??= instance;
    return instance;
  };
  try {
    const results = await runConformance(create, options);
    return { ...nothing(backend, platform), execution: first!.execution, results };
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'BACKEND_UNAVAILABLE') {
      return { ...nothing(backend, platform), unavailable: error.message };
    }
    return { ...nothing(backend, platform), error: String((error as Error)?.stack ?? error) };
  }
}

/** A report without results, to which the reason is added. */
export function nothing(backend: string, platform: Platform): BackendReport {
  return { backend, platform, execution: null, unavailable: null, error: null, results: [] };
}
