// IEEE 754 binary16 as bits, for engines without Float16Array, and for arithmetic that they are converted in.
import { allocate, type Dtype, type FloatArray } from './tensor.js';

/** The largest finite float16. */
export const largestFloat16 = 65504;

/** The numbers of all 65,536 bit patterns, float32 because it holds each exactly; made at the first use. */
let numbers: Float32Array | undefined;

/** The number of each bit pattern: `float16Numbers()[bits]`. 256 KiB, shared. */
export function float16Numbers(): Float32Array {
  numbers ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => numberOf(bits));
  return numbers;
}

/** (−1)^sign · 2^(exponent − 25) · (1024 + fraction), or the subnormal 2^−24 · fraction. */
function numberOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (0x400 + fraction) * 2 ** (exponent - 25);
}

const word = new Float32Array(1);
/** Signed: V8 keeps an unsigned word of 2^31 and more as a float64. */
const wordBits = new Int32Array(word.buffer);

/** The bits of the float16 nearest to `value`, of two that are as near the even one; infinite from 65520 on. */
export function float16Bits(value: number): number {
  word[0] = value;
  const bits = wordBits[0]!;
  const size = bits & 0x7fffffff;
  const isUsual = size >= 0x38800000 && size < 0x47800000 && (size & 0x1fff) !== 0x1000;
  // Thirteen fraction bits less, rounded to even; the exponent counts from −15 instead of −127.
  return isUsual ? ((bits >> 16) & 0x8000) | ((size - 0x38000000 + 0xfff) >> 13) : unusualBits(value);
}

/** Of subnormal numbers, of 2^16 and more, of NaN, and of those that as a float32 lie in the middle between two. */
function unusualBits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  // Of numbers in [2^e, 2^(e+1)) the unit is 2^(e−10). In [2^52, 2^53) the float64 numbers are the whole ones.
  word[0] = size;
  const exponent = Math.max((wordBits[0]! >> 23) - 127, -14);
  const units = size * 2 ** (10 - exponent) + 2 ** 52 - 2 ** 52;
  // A fraction that is rounded up to 2^11 units carries into the exponent.
  return sign | (((exponent + 14) << 10) + units);
}

/** The numbers that elements stand for: themselves, or those whose float16 bits they are. */
export function numbersOf(elements: FloatArray): Float32Array | Float64Array {
  if (!(elements instanceof Uint16Array)) return elements;
  const numbers = float16Numbers();
  return Float32Array.from(elements, (bits) => numbers[bits]!);
}

/** Elements of `dtype`, nearest to these numbers. */
export function elementsFrom(dtype: Dtype, numbers: ArrayLike<number>): FloatArray {
  const elements = allocate(dtype, numbers.length);
  if (dtype !== 'float16') elements.set(numbers);
  else for (let k = 0; k < numbers.length; k++) elements[k] = float16Bits(numbers[k]!);
  return elements;
}
