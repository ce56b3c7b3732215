// What a layer has learned, in vectors: which numbers they may hold, whoever writes them.
import { describe } from './describe.js';
import { refuse } from './errors.js';
import { float16Numbers } from './float16.js';
import type { Float16Elements, FloatArray } from './tensor.js';
import { readUntrusted } from './untrusted.js';
import { zeros } from './vector.js';

/** A vector of a layer's state. */
export type StateVector = 'gamma' | 'beta' | 'runningMean' | 'runningVariance';

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

/** What can be assigned to a vector of a layer. A Uint16Array has the bits of float16. */
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

/**
 * A copy of `values`, of any positive length where none is given; a Uint16Array has the bits of float16, as everywhere.
 * Errors: those of `assertStateVector`.
 */
export function copiedVector(name: Vector, values: unknown, length?: number): Float64Array {
  // Read once: a proxy could answer the check with one number and the copy with another.
  const copy = zeros(assertArray(name, values, length));
  const ofBits = values instanceof Uint16Array ? float16Numbers() : undefined;
  for (let c = 0; c < copy.length; c++) {
    const element = (values as ArrayLike<unknown>)[c];
    const value = ofBits ? ofBits[element as number] : element;
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

/** Errors: `INVALID_STATE` unless `value` is a whole number from 0 to 2⁵³ − 1. */
export function assertCount(name: string, value: unknown): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    refuseState(`${name} ${describe(value)}`, 'a whole number from 0 to 2⁵³ − 1');
  }
}

export function refuseState(received: string, expected: string): never {
  refuse('INVALID_STATE', received, expected);
}
