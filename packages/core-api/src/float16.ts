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
const wordBits = new Uint32Array(word.buffer);

/** The bits of the float16 nearest to `value`, of two that are as near the even one; infinite from 65520 on. */
export function float16Bits(value: number): number {
  word[0] = value;
  const sign = (wordBits[0]! >>> 16) & 0x8000;
  let size = wordBits[0]! & 0x7fffffff;
  // Subnormal numbers, and those from 2^16 on.
  if (size < 0x38800000 || size >= 0x47800000) return sign | unusualBits(Math.abs(value));
  if ((size & 0x1fff) === 0x1000) {
    // In the middle between two as a float32, to which `value` was rounded: it may lie on either side.
    const [exact, rounded] = [Math.abs(value), Math.abs(word[0]!)];
    size += exact > rounded ? 1 : exact < rounded ? -1 : 0;
  }
  // Thirteen fraction bits less, rounded to even; the exponent counts from −15 instead of −127.
  return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
}

function unusualBits(size: number): number {
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 2 ** 16) return 0x7c00;
  // In [2^52, 2^53) the float64 numbers are the whole ones: this rounds to multiples of 2^−24.
  return size * 2 ** 24 + 2 ** 52 - 2 ** 52;
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
