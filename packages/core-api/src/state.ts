// What a layer has learned: which numbers its vectors may hold, whoever writes them, and its state as plain JSON.
import { describe } from './describe.js';
import { refuse } from './errors.js';
import { frameworkOf } from './foreign-names.js';
import { readOptions, type StateOptions, stateOptionsOf } from './state-options.js';
import type { Float16Elements, FloatArray } from './tensor.js';
import { readUntrusted } from './untrusted.js';
import { zeros } from './vector.js';

/** Plain JSON: every number survives `JSON.parse(JSON.stringify(state))` to the bit, but for −0, which JSON lacks. */
export interface BatchNormState {
  readonly formatVersion: 2;
  readonly numFeatures: number;
  /** With them `new BatchNorm({ backend, numFeatures, ...options })` is such a layer again. */
  readonly options: StateOptions;
  /** [C], or empty without `scale`. */
  readonly gamma: readonly number[];
  /** [C], or empty without `center`. */
  readonly beta: readonly number[];
  /** [C], or empty without running statistics. */
  readonly runningMean: readonly number[];
  readonly runningVariance: readonly number[];
  readonly batchesTracked: number;
  /**
   * How many values per channel the running statistics have seen. Written, and required, with momentum 'exact', which
   * weighs the next batch against them.
   */
  readonly valuesTracked?: number;
}

/**
 * What `loadState` takes: a `BatchNormState`, whose vectors may be typed arrays, too, or one of format 1, which has no
 * options.
 */
export type LoadableState = Omit<BatchNormState, StateVector | 'formatVersion' | 'options'> &
  Readonly<Record<StateVector, Numbers>> &
  ({ readonly formatVersion: 1 } | Pick<BatchNormState, 'formatVersion' | 'options'>);

const formatVersion = 2;
const vectors = ['gamma', 'beta', 'runningMean', 'runningVariance'] as const;

/** A vector of a layer's state. */
export type StateVector = (typeof vectors)[number];

/** One that can be in JSON. */
type Vector = StateVector | 'mean' | 'm2';

/** The vectors of a layer, which a state is written from and read into: of length 0 where the layer has none. */
export type StateVectors = Readonly<Record<StateVector, Float64Array>>;

/** How much the running statistics have averaged. */
export interface Tracked {
  readonly batchesTracked: number;
  /** Undefined where the momentum is not 'exact'. */
  readonly valuesTracked: number | undefined;
}

/** What can be assigned to a vector of a layer. */
export type Numbers = FloatArray | Float16Elements | readonly number[];

/** Copies `values` into the vector `target`. Errors: `INVALID_STATE`, and then nothing has changed. */
export function assignVector(name: StateVector, target: Float64Array, values: unknown): void {
  readUntrusted('INVALID_STATE', `elements of ${name}`, () => {
    target.set(copiedVector(name, values, target.length));
  });
}

/**
 * Errors: `INVALID_STATE` unless `values` is an array, of any numeric type, of `length` finite numbers; those of a
 * variance must not be negative.
 */
export function assertStateVector(
  name: StateVector,
  values: unknown,
  length: number,
): asserts values is ArrayLike<number> {
  assertArray(name, values, length);
  for (let c = 0; c < length; c++) assertNumber(name, c, (values as ArrayLike<unknown>)[c]);
}

/** A copy of `values`, of any positive length where none is given. Errors: those of `assertStateVector`. */
export function copiedVector(name: Vector, values: unknown, length?: number): Float64Array {
  // Read once: a proxy could answer the check with one number and the copy with another.
  const copy = zeros(assertArray(name, values, length));
  for (let c = 0; c < copy.length; c++) {
    const value = (values as ArrayLike<unknown>)[c];
    assertNumber(name, c, value);
    copy[c] = value;
  }
  return copy;
}

/** The length of `values`. */
function assertArray(name: Vector, values: unknown, length?: number): number {
  const isArray = Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  const received = isArray ? (values as ArrayLike<unknown>).length : -1;
  if (length === undefined ? received < 1 : received !== length) {
    refuseState(`${name} ${describe(values)}`, `an array of ${length ?? 'one or more'} numbers`);
  }
  return received;
}

function assertNumber(name: Vector, c: number, value: unknown): asserts value is number {
  if (typeof value !== 'number' || !Number.isFinite(value))
    refuseState(`${name}[${c}] = ${describe(value)}`, 'a finite number');
  if ((name === 'runningVariance' || name === 'm2') && value < 0)
    refuseState(`${name}[${c}] = ${value}`, 'a number that is not negative');
}

/** Errors: those of `assertStateVector`. */
export function writeState(
  numFeatures: number,
  options: StateOptions,
  source: StateVectors,
  { batchesTracked, valuesTracked }: Tracked,
): BatchNormState {
  for (const name of vectors) assertStateVector(name, source[name], source[name].length);
  return {
    formatVersion,
    numFeatures,
    options: stateOptionsOf(options),
    gamma: [...source.gamma],
    beta: [...source.beta],
    runningMean: [...source.runningMean],
    runningVariance: [...source.runningVariance],
    batchesTracked,
    ...(valuesTracked !== undefined && { valuesTracked }),
  };
}

/**
 * Copies the vectors of `state` into `target`, those of a layer with these options, and returns its counts. Errors:
 * `INVALID_STATE`; `OPTIONS_MISMATCH` for a state of a layer that computes something else, unless those `mayDiffer`; and
 * then nothing has changed.
 */
export function readState(
  state: unknown,
  numFeatures: number,
  options: StateOptions,
  target: StateVectors,
  mayDiffer: boolean,
): Tracked {
  return readUntrusted('INVALID_STATE', 'fields of a state', () => read(state, numFeatures, options, target, mayDiffer));
}

function read(
  state: unknown,
  numFeatures: number,
  options: StateOptions,
  target: StateVectors,
  mayDiffer: boolean,
): Tracked {
  if (typeof state !== 'object' || state === null) refuseState(describe(state), 'an object that state() returned');
  // Every field is read once: a getter or proxy could answer the check with one value and the copy with another.
  const fields = { ...(state as Record<string, unknown>) };
  const { formatVersion: version } = fields;
  if (version === undefined) refuseForeign(fields);
  if (version !== 1 && version !== formatVersion) {
    refuseState(`formatVersion ${describe(version)}`, `formatVersion ${formatVersion} or 1`);
  }
  if (fields.numFeatures !== numFeatures) {
    refuseState(`numFeatures ${describe(fields.numFeatures)}`, `numFeatures ${numFeatures}, as the layer has`);
  }
  const copies = vectors.map((name) => copiedVector(name, fields[name], target[name].length));
  const { batchesTracked, valuesTracked } = fields;
  assertCount('batchesTracked', batchesTracked);
  const needsValues = options.momentum === 'exact' && batchesTracked !== 0;
  if (valuesTracked !== undefined || needsValues) assertCount('valuesTracked', valuesTracked);
  if (valuesTracked !== undefined && (valuesTracked < batchesTracked || (batchesTracked === 0 && valuesTracked > 0))) {
    refuseState(`valuesTracked ${valuesTracked} of ${batchesTracked} batches`, 'at least one value of each batch');
  }
  if (version === formatVersion) readOptions(fields.options, options, mayDiffer);
  for (const [index, name] of vectors.entries()) target[name].set(copies[index]!);
  return { batchesTracked, valuesTracked: valuesTracked as number | undefined };
}

/** Errors: `INVALID_STATE` for fields that another framework has; its numbers need more than other names. */
function refuseForeign(fields: object): void {
  const found = frameworkOf(Object.keys(fields));
  if (found === undefined) return;
  const { name, framework, translator } = found;
  refuseState(`'${name}', as ${framework} calls it`, `what state() returned: ${translator} of @batchnorm/weights makes it`);
}

/** Errors: `INVALID_STATE` unless `value` is a whole number from 0 to 2⁵³ − 1. */
export function assertCount(name: string, value: unknown): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    refuseState(`${name} ${describe(value)}`, 'a whole number from 0 to 2⁵³ − 1');
  }
}

export function refuseState(received: string, expected: string): never {
  refuse('INVALID_STATE', received, expected);
}
