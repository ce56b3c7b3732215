// Whether a backend conforms, without a test runner: every case, every dtype, as data.
import { type Backend, BatchNorm, BatchNormError, type Dtype } from '@batchnorm/core-api';
import { builtInFixtures } from './built-in-fixtures.js';
import type { FixtureCase, FixtureFile } from './fixture-format.js';
import { type Check, inapplicable, replay } from './replay.js';

export const dtypes: readonly Dtype[] = ['float32', 'float64'];

/** The outcome of one case on one backend in one dtype. */
export interface CaseResult {
  readonly file: string;
  readonly name: string;
  readonly dtype: Dtype;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** The largest error over its bound. Above 1 is a failure. */
  readonly worst: number;
  /** The largest relative error, whatever its bound. */
  readonly error: number;
  /** Where the worst was, such as 'step 2 dx'. */
  readonly where: string;
  /** One line for each failed check, or the reason of a skip. */
  readonly messages: readonly string[];
}

export interface ConformanceOptions {
  /** Default: the golden files of this package. */
  readonly fixtures?: readonly FixtureFile[];
  /** Default: both. One that the backend lacks must be refused with `DTYPE_MISMATCH`. */
  readonly dtypes?: readonly Dtype[];
  readonly onProgress?: (result: CaseResult) => void;
}

/** Runs every case on `backend`, one after another. A case that throws has failed; this does not reject. */
export async function runConformance(backend: Backend, options: ConformanceOptions = {}): Promise<CaseResult[]> {
  const { fixtures = builtInFixtures, onProgress } = options;
  const results: CaseResult[] = [];
  for (const dtype of options.dtypes ?? dtypes) {
    for (const { name: file, cases } of fixtures) {
      for (const fixture of cases) {
        const result = { file, name: fixture.name, dtype, ...(await runCase(fixture, backend, dtype)) };
        results.push(result);
        onProgress?.(result);
      }
    }
  }
  return results;
}

type Outcome = Pick<CaseResult, 'status' | 'worst' | 'error' | 'where' | 'messages'>;

export async function runCase(fixture: FixtureCase, backend: Backend, dtype: Dtype): Promise<Outcome> {
  const reason = inapplicable(fixture, dtype);
  if (reason !== undefined) return { status: 'skipped', worst: 0, error: 0, where: '', messages: [reason] };
  if (!backend.capabilities.dtypes.includes(dtype)) return refusal(backend, dtype);
  try {
    return summarize(await replay(fixture, backend, dtype));
  } catch (error) {
    return failed(`${error instanceof BatchNormError ? `${error.code}: ` : ''}${error}`);
  }
}

/** A dtype that the backend says it lacks has its own form of the check: the coded error. */
function refusal(backend: Backend, dtype: Dtype): Outcome {
  try {
    new BatchNorm({ backend, dtype, numFeatures: 1 });
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'DTYPE_MISMATCH') {
      return { status: 'passed', worst: 0, error: 0, where: 'refused: DTYPE_MISMATCH', messages: [] };
    }
  }
  return failed(`${dtype} is not among the capabilities, expected DTYPE_MISMATCH`);
}

function summarize(checks: readonly Check[]): Outcome {
  const worst = checks.reduce((a, b) => (b.worst > a.worst ? b : a));
  const failures = checks.filter(({ passed }) => !passed);
  return {
    status: failures.length === 0 ? 'passed' : 'failed',
    worst: worst.worst,
    error: Math.max(...checks.map(({ largestError }) => largestError)),
    where: worst.what,
    messages: failures.map(({ what, message }) => `${what}${message}`),
  };
}

function failed(message: string): Outcome {
  const worst = Number.POSITIVE_INFINITY;
  return { status: 'failed', worst, error: worst, where: '', messages: [message] };
}
