// What a float16 result was before it was rounded: the last rounding is taken back, and what is left is judged as float32.
import { float16Numbers } from '@batchnorm/core-api';

/**
 * For each of the bits that were received the number that rounds to them, to nearest, and is nearest to the one that is
 * wanted. A backend that computed within a bound of what is wanted, and stored that, is within it here; who has rounded
 * otherwise, or more than once, is found. Where NaN is wanted it is what was received.
 */
export function beforeRounding(received: Uint16Array, wanted: Float64Array): Float64Array {
  return Float64Array.from(received, (bits, k) => numberBefore(bits, wanted[k]!));
}

/** −1 or 1, and the others: those of a size. */
const sign = 0x8000;
const infinity = 0x7c00;

function numberBefore(bits: number, wanted: number): number {
  const [factor, pattern] = bits < sign ? [1, bits] : [-1, bits - sign];
  if (pattern > infinity || Number.isNaN(wanted)) return float16Numbers()[bits]!;
  const from = pattern === 0 ? -halfway(0) : halfway(pattern - 1);
  const to = pattern === infinity ? Number.POSITIVE_INFINITY : halfway(pattern);
  return factor * Math.min(Math.max(factor * wanted, from), to);
}

/** Between the sizes of this pattern and the next. What would follow 65504 is 2^16: halfway to it infinity begins. */
function halfway(pattern: number): number {
  const [size, next] = [float16Numbers()[pattern]!, float16Numbers()[pattern + 1]!];
  return (size + Math.min(next, 2 ** 16)) / 2;
}
