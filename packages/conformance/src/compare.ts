// One comparison for everything: shape, dtype, then NaN and infinities, then values against their bounds.
import { type Backend, type Dtype, dtypeOf, type ErrorCode, type FloatArray, numbersOf } from '@batchnorm/core-api';
import { float64Of } from './channels.js';
import type { Rounding } from './fixtures/fixture-case.js';
import { beforeRounding } from './float16/before-rounding.js';

/** The outcome of comparing one result with its golden values. */
export interface Comparison {
  readonly passed: boolean;
  /** The largest error over its bound; Infinity where no bound could excuse it. */
  readonly worst: number;
  /** The largest relative error, which may lie elsewhere. */
  readonly largestError: number;
  /** What is wrong, with the place; empty when it passed. */
  readonly message: string;
}

/** One compared result of a case: `what` it is, such as 'step 2 dx'. */
export interface Check extends Comparison {
  readonly what: string;
  /**
   * For results that should be the same to the bit and are not: the largest difference, relative to the largest number.
   */
  readonly difference?: number;
  /** Of the error that was met, if there was one and it has a code. */
  readonly code?: ErrorCode | null;
}

/** What a result must be, and how far from it each element may lie. */
export interface Expected {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  readonly data: ArrayLike<number>;
  /** The largest relative error of each element. */
  readonly tolerance: Float64Array;
  /** What it is relative to. */
  readonly magnitude: Float64Array;
  /** How far golden values may be off because they were rounded. It is added to the bound. Default: not at all. */
  readonly rounding?: Rounding;
}

/** Holds a result against what it must be: shape, dtype and every element. */
export function compare(
  received: { readonly shape: readonly number[]; readonly data: FloatArray },
  expected: Expected,
): Comparison {
  if (received.shape.join() !== expected.shape.join()) {
    return failure(`received shape [${received.shape}], expected [${expected.shape}]`);
  }
  if (received.data.length !== expected.data.length) {
    return failure(`received ${received.data.length} elements, expected ${expected.data.length}`);
  }
  const dtype = dtypeOf(received.data);
  if (dtype !== expected.dtype) return failure(`received ${dtype}, expected ${expected.dtype}`);

  const golden = float64Of(expected.data);
  const data = received.data instanceof Uint16Array ? beforeRounding(received.data, golden) : float64Of(received.data);
  const isNarrow = dtype === 'float32';
  const { tolerance, magnitude, rounding: { absolute = 0, relative = 0 } = {} } = expected;
  let worst = 0;
  let largestError = 0;
  let where = 0;
  for (let i = 0; i < golden.length; i++) {
    const got = data[i]!;
    const want = isNarrow ? withinFloat32(golden[i]!) : golden[i]!;
    if (!Number.isFinite(got) || !Number.isFinite(want)) {
      if (!Object.is(got, want)) return failure(`[${i}]: received ${got}, expected ${want}`);
      continue;
    }
    if (got === want) continue;
    const distance = Math.abs(got - want);
    const rounding = absolute + relative * Math.abs(want);
    const size = magnitude[i]!;
    const bound = tolerance[i]! * size + rounding;
    if (Number.isNaN(bound))
      return failure(`[${i}]: received ${got}, expected ${want} within a bound that is a number`);
    const ratio = distance / bound;
    if (distance > rounding) largestError = Math.max(largestError, (distance - rounding) / size);
    if (ratio <= worst) continue;
    worst = ratio;
    where = i;
  }
  if (worst <= 1) return { passed: true, worst, largestError, message: '' };
  const [got, want] = [numbersOf(received.data)[where]!, golden[where]!];
  const values = `received ${got}, expected ${isNarrow ? withinFloat32(want) : want}`;
  return { passed: false, worst, largestError, message: `[${where}]: ${values}, ${worst.toPrecision(3)} × the bound` };
}

/** What float32 makes of a number that is beyond its range: infinity. */
function withinFloat32(value: number): number {
  const narrow = Math.fround(value);
  return Number.isFinite(narrow) ? value : narrow;
}

/** Equal to the bit: NaN is NaN, and 0 is not −0. */
export function sameBits(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  const [ofA, ofB] = [wordsOf(a), wordsOf(b)];
  if (ofA && ofB && ofA.length === ofB.length && sameWords(ofA, ofB)) return true;
  for (let k = 0; k < a.length; k++) if (!Object.is(a[k], b[k])) return false;
  return true;
}

function wordsOf(values: ArrayLike<number>): Uint32Array | undefined {
  return ArrayBuffer.isView(values) && values.byteLength % 4 === 0 && values.byteOffset % 4 === 0
    ? new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4)
    : undefined;
}

/** Its loop sees one kind of array alone, and is compiled to code that is ten times as fast. */
function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  for (let k = 0; k < a.length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** A check that either holds or does not. */
export function outcome(what: string, holds: boolean, message: string): Check {
  return { what, ...(holds ? { passed: true, worst: 0, largestError: 0, message: '' } : failure(message)) };
}

/** A check that results of the same computation are the same to the bit. */
export function identical(what: string, received: ArrayLike<number>, expected: ArrayLike<number>): Check {
  if (sameBits(received, expected)) return outcome(what, true, '');
  if (received.length !== expected.length) {
    return outcome(what, false, `: received ${received.length} elements, expected ${expected.length}`);
  }
  const k = Array.prototype.findIndex.call(expected, (value, index) => !Object.is(value, received[index]));
  const failed = outcome(what, false, `[${k}]: received ${received[k]}, expected ${expected[k]} to the bit`);
  return { ...failed, difference: differenceOf(received, expected) };
}

/** A check that those elements are the same to the bit of which `isWanted` is true. */
export function identicalWhere(
  what: string,
  received: FloatArray,
  expected: FloatArray,
  isWanted: (index: number) => boolean,
): Check {
  // Not filter, which makes a list of objects first.
  const wantedOf = (values: FloatArray) => {
    const wanted = values.slice();
    for (let k = 0; k < wanted.length; k++) if (!isWanted(k)) wanted[k] = 0;
    return wanted;
  };
  return identical(what, wantedOf(received), wantedOf(expected));
}

/** The largest difference, relative to the largest number that is expected; infinite where one of two is not finite. */
function differenceOf(received: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let k = 0; k < expected.length; k++) {
    const [got, want] = [received[k]!, expected[k]!];
    if (Object.is(got, want)) continue;
    if (!Number.isFinite(got) || !Number.isFinite(want)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, Math.abs(got - want));
    size = Math.max(size, Math.abs(want));
  }
  return difference === 0 ? 0 : difference / size;
}

/**
 * The check of a repeated call. Unless the backend says that it is deterministic, half of the digits must be the same.
 */
export function repeated(
  check: Check,
  { backend, dtype }: { readonly backend: Backend; readonly dtype: Dtype },
): Check {
  return backend.capabilities.deterministic ? check : toHalfOfTheDigits(check, dtype);
}

/** The check of the same result by another way: half of the digits must be the same. */
export function toHalfOfTheDigits(check: Check, dtype: Dtype): Check {
  const allowed = dtype === 'float64' ? 2 ** -26 : 2 ** -12;
  return check.difference !== undefined && check.difference <= allowed ? outcome(check.what, true, '') : check;
}

function failure(message: string): Comparison {
  return { passed: false, worst: Number.POSITIVE_INFINITY, largestError: Number.POSITIVE_INFINITY, message };
}
