// Whether a backend conforms, without a test runner, in Node and in a page: every case, every dtype, as data.
import {
  type Backend,
  BatchNorm,
  BatchNormError,
  type Dtype,
  type ErrorCode,
  type MaybePromise,
} from '@batchnorm/core-api';
import type { Check } from './compare.js';
import type { Cell, ConformanceCase, Group, Subject } from './conformance-case.js';
import { errorCode } from './expect-refusal.js';
import type { FixtureFile } from './fixtures/fixture-case.js';
import { goldenCases } from './golden-cases.js';
import { suite } from './suite.js';

/** Those of every case that is not about one alone. */
export const dtypes: readonly Dtype[] = ['float32', 'float64'];

/** One case in one dtype. */
export interface Run {
  readonly one: ConformanceCase;
  readonly dtype: Dtype;
}

/** Each case in each of the `asked` dtypes in which it is tried. */
export function runsOf(cases: readonly ConformanceCase[], asked: readonly Dtype[] = [...dtypes, 'float16']): Run[] {
  const isOf = ({ dtype }: ConformanceCase, other: Dtype) =>
    dtype === undefined ? dtypes.includes(other) : dtype === other;
  return asked.flatMap((dtype) => cases.filter((one) => isOf(one, dtype)).map((one) => ({ one, dtype })));
}

/** The outcome of one case on one backend in one dtype. */
export interface CaseResult {
  readonly group: Group;
  /** The golden file, or the group. */
  readonly source: string;
  readonly name: string;
  readonly dtype: Dtype;
  /** Its cell in the matrix of behaviours; null for cases of other groups. */
  readonly cell: Cell | null;
  /** `refused`: the backend says that it can't, and refuses with the code that the contract wants. */
  readonly status: 'passed' | 'failed' | 'refused' | 'skipped';
  /** The code of a refusal, or of the error that a failed case met; null where there is none. */
  readonly code: ErrorCode | null;
  /** The largest error over its bound. Above 1 is a failure. */
  readonly worst: number;
  /** The largest relative error, whatever its bound, in units of the last place of the dtype. */
  readonly ulps: number;
  /** Where the worst was, such as 'step 2 dx'. */
  readonly where: string;
  /** One line for each failed check, or the reason of a skip. */
  readonly messages: readonly string[];
}

/** What of the kit is run, and who hears of it. */
export interface ConformanceOptions {
  /** Golden files to run instead of the kit's own cases. */
  readonly fixtures?: readonly FixtureFile[];
  /** Default: all. One that the backend lacks must be refused with `DTYPE_MISMATCH`. */
  readonly dtypes?: readonly Dtype[];
  /**
   * Skips what takes most of the time: all but small activations, what stays in memory, and most random programs.
   * Default false.
   */
  readonly quick?: boolean;
  /** Called after each case: `done` of `total` cases have ended. */
  readonly onProgress?: (result: CaseResult, done: number, total: number) => void;
  /** Stops after the case that is running; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Runs every case, one after another. Given a factory, it makes one backend for all of them and disposes it, and
 * another for those that dispose theirs; given a backend, it leaves it alive, and these cases are skipped.
 *
 * A case that throws has failed. Errors: those of the factory; the signal's reason.
 */
export async function runConformance(
  subject: Backend | (() => MaybePromise<Backend>),
  { fixtures, onProgress, signal, ...options }: ConformanceOptions = {},
): Promise<CaseResult[]> {
  const create = typeof subject === 'function' ? subject : undefined;
  const backend = typeof subject === 'function' ? await subject() : subject;
  const cases = fixtures ? goldenCases(fixtures) : suite;
  const runs = runsOf(cases, options.dtypes);
  const results: CaseResult[] = [];
  try {
    for (const { one, dtype } of runs) {
      signal?.throwIfAborted();
      const result = await runCase(one, { backend, dtype, create }, options);
      results.push(result);
      onProgress?.(result, results.length, runs.length);
    }
  } finally {
    if (create) await backend.dispose();
  }
  return results;
}

type Outcome = Pick<CaseResult, 'status' | 'code' | 'worst' | 'ulps' | 'where' | 'messages'>;

export async function runCase(
  one: ConformanceCase,
  subject: Subject,
  { quick = false }: Pick<ConformanceOptions, 'quick'> = {},
): Promise<CaseResult> {
  const { group, source, name, cell = null, slow = false } = one;
  const outcome = quick && slow ? leftOut : await judge(one, { ...subject, quick });
  return { group, source, name, dtype: subject.dtype, cell, ...outcome };
}

async function judge(one: ConformanceCase, subject: Subject): Promise<Outcome> {
  const { backend, dtype } = subject;
  const reason = await one.inapplicable?.(subject);
  if (reason !== undefined) return { ...nothingMeasured, status: 'skipped', messages: [reason] };
  if (!backend.capabilities.dtypes.includes(dtype)) return refusal(backend, dtype);
  try {
    const found = await one.run(subject);
    return 'refused' in found ? refused(found.refused) : summarize(found, dtype);
  } catch (error) {
    const prefix = error instanceof BatchNormError ? `${error.code}: ` : '';
    return failed(`${prefix}${error}`, errorCode(error));
  }
}

const nothingMeasured = { code: null, worst: 0, ulps: 0, where: '', messages: [] } as const;

const leftOut: Outcome = {
  ...nothingMeasured,
  status: 'skipped',
  messages: ['a quick run leaves out what takes long'],
};

function refused(code: ErrorCode): Outcome {
  return { ...nothingMeasured, status: 'refused', code };
}

/** For a dtype that the backend says it lacks: whether a layer of it is refused with DTYPE_MISMATCH. */
function refusal(backend: Backend, dtype: Dtype): Outcome {
  if (backend.capabilities.dtypes.length === 0) {
    return failed('capabilities.dtypes: received none, expected one or more');
  }
  try {
    new BatchNorm({ backend, dtype, numFeatures: 1 });
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'DTYPE_MISMATCH') {
      return refused('DTYPE_MISMATCH');
    }
  }
  return failed(`${dtype} is not among the capabilities, expected DTYPE_MISMATCH`);
}

function summarize(checks: readonly Check[], dtype: Dtype): Outcome {
  const worst = checks.reduce((a, b) => (b.worst > a.worst ? b : a));
  const failures = checks.filter(({ passed }) => !passed);
  const lastPlace = dtype === 'float64' ? 2 ** -52 : 2 ** -23;
  return {
    status: failures.length === 0 ? 'passed' : 'failed',
    code: failures.find(({ code }) => code)?.code ?? null,
    worst: worst.worst,
    ulps: Math.max(...checks.map(({ largestError }) => largestError)) / lastPlace,
    where: worst.what,
    messages: failures.map(({ what, message }) => `${what}${message}`),
  };
}

function failed(message: string, code: ErrorCode | null = null): Outcome {
  return {
    status: 'failed',
    code,
    worst: Number.POSITIVE_INFINITY,
    ulps: Number.POSITIVE_INFINITY,
    where: '',
    messages: [message],
  };
}
