// What a layer has learned: what its numbers may be, whoever writes them, and the same as plain JSON.
import { describe } from './describe.js';
import { BatchNormError } from './errors.js';
import { looking } from './looking.js';

/** Plain, JSON-safe: numbers survive `JSON.parse(JSON.stringify(state))` to the bit. */
export interface BatchNormState {
  readonly formatVersion: 1;
  readonly numFeatures: number;
  /** [C], or empty without `scale`. */
  readonly gamma: readonly number[];
  /** [C], or empty without `center`. */
  readonly beta: readonly number[];
  /** [C], or empty without running statistics. */
  readonly runningMean: readonly number[];
  readonly runningVariance: readonly number[];
  readonly batchesTracked: number;
  /** How many values per channel they have had. Written, and required, with momentum 'exact', whose next batch is weighed against them. */
  readonly valuesTracked?: number;
}

export const formatVersion = 1;
const vectors = ['gamma', 'beta', 'runningMean', 'runningVariance'] as const;

/** A vector of a layer's state. */
export type StateVector = (typeof vectors)[number];

/** The arrays that a state is written from and read into, with their lengths as the layer has them. */
export type StateVectors = Readonly<Record<StateVector, Float64Array>>;

/** How much the running statistics have seen. */
export interface Tracked {
  readonly batchesTracked: number;
  /** Undefined where it does not matter. */
  readonly valuesTracked: number | undefined;
}

/**
 * That `values` can be this vector: `length` finite numbers, a variance's not negative. An array of any numeric type.
 * Errors: `INVALID_STATE`.
 */
export function assertStateVector(
  name: StateVector,
  values: unknown,
  length: number,
): asserts values is ArrayLike<number> {
  const isArray = Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  if (!isArray || (values as ArrayLike<unknown>).length !== length) {
    fail(`${name} ${describe(values)}`, `an array of ${length} numbers`);
  }
  for (let c = 0; c < length; c++) {
    const value = (values as ArrayLike<unknown>)[c];
    if (typeof value !== 'number' || !Number.isFinite(value))
      fail(`${name}[${c}] = ${describe(value)}`, 'a finite number');
    if (name === 'runningVariance' && value < 0) fail(`${name}[${c}] = ${value}`, 'a number that is not negative');
  }
}

/** Errors: `INVALID_STATE` when a vector holds a number that no state may have. */
export function writeState(
  numFeatures: number,
  source: StateVectors,
  { batchesTracked, valuesTracked }: Tracked,
): BatchNormState {
  for (const name of vectors) assertStateVector(name, source[name], source[name].length);
  return {
    formatVersion,
    numFeatures,
    gamma: [...source.gamma],
    beta: [...source.beta],
    runningMean: [...source.runningMean],
    runningVariance: [...source.runningVariance],
    batchesTracked,
    ...(valuesTracked !== undefined && { valuesTracked }),
  };
}

/** Copies `state` into `target`, all or nothing, and returns its counts. Errors: `INVALID_STATE`. */
export function readState(state: unknown, numFeatures: number, target: StateVectors, needsValues: boolean): Tracked {
  return looking('INVALID_STATE', 'fields of a state', () => read(state, numFeatures, target, needsValues));
}

function read(state: unknown, numFeatures: number, target: StateVectors, needsValues: boolean): Tracked {
  if (typeof state !== 'object' || state === null) fail(describe(state), 'an object that state() returned');
  // Once: a getter, or a proxy, could answer otherwise when it is asked again.
  const fields = { ...(state as Record<string, unknown>) };
  if (fields.formatVersion !== formatVersion) {
    fail(`formatVersion ${describe(fields.formatVersion)}`, `formatVersion ${formatVersion}`);
  }
  if (fields.numFeatures !== numFeatures) {
    fail(`numFeatures ${describe(fields.numFeatures)}`, `numFeatures ${numFeatures}, as the layer has`);
  }
  for (const name of vectors) assertStateVector(name, fields[name], target[name].length);
  const { batchesTracked, valuesTracked } = fields;
  assertCount('batchesTracked', batchesTracked);
  if (valuesTracked !== undefined || (needsValues && batchesTracked !== 0)) assertCount('valuesTracked', valuesTracked);
  if (valuesTracked !== undefined && (valuesTracked < batchesTracked || (batchesTracked === 0 && valuesTracked > 0))) {
    fail(`valuesTracked ${valuesTracked} of ${batchesTracked} batches`, 'at least one value of each batch');
  }
  for (const name of vectors) target[name].set(fields[name] as ArrayLike<number>);
  return { batchesTracked, valuesTracked: valuesTracked as number | undefined };
}

function assertCount(name: string, value: unknown): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    fail(`${name} ${describe(value)}`, 'a whole number that is not negative');
  }
}

function fail(received: string, expected: string): never {
  throw new BatchNormError('INVALID_STATE', `received ${received}, expected ${expected}`);
}
