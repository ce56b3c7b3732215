// The ends of float64: where finite values have squares, sums or scales that are no numbers any more, or lose their digits.
import type { Statistics } from './backend.js';
import { BatchNormError } from './errors.js';
import type { Extent } from './extent.js';
import type { FloatArray } from './tensor.js';

/** Of variance + epsilon: what squares lose to the smallest number, 2⁻¹⁰⁷⁴, is no digit of more than this. */
const leastSquare = 2 ** -1020;

/**
 * Errors: `NON_FINITE_STATISTICS` where finite values of a channel, which are not all the same, have a mean or variance that float64
 * can't hold: y would be finite and wrong. Values that are not finite are not refused here: what they give is NaN.
 */
export function assertStatisticsInRange(
  x: FloatArray,
  extent: Extent,
  { mean, variance }: Statistics,
  epsilon: number,
): void {
  for (let c = 0; c < mean.length; c++) {
    const square = variance[c]! + epsilon;
    if (Number.isFinite(mean[c]) && square >= leastSquare && square < Number.POSITIVE_INFINITY) continue;
    if (!isFiniteChannel(x, extent, c) || isConstantChannel(x, extent, c)) continue;
    refuse(
      `values of channel ${c} with mean ${mean[c]} and variance ${variance[c]}`,
      'squares that float64 can add up',
    );
  }
}

/** Errors: `NON_FINITE_STATISTICS` where gamma · invStd is beyond float64: 0 · ∞ is no y. */
export function assertScalesInRange(scale: Float64Array, gamma: Float64Array, invStd: Float64Array): void {
  for (let c = 0; c < scale.length; c++) {
    if (Number.isFinite(scale[c]) || !Number.isFinite(gamma[c]) || !Number.isFinite(invStd[c])) continue;
    refuse(`gamma ${gamma[c]} and 1/σ ${invStd[c]} in channel ${c}`, 'a product that is a number');
  }
}

/** Errors: `NON_FINITE_STATISTICS` where finite x and dy of a channel have sums that are not. */
export function assertGradientsInRange(
  x: FloatArray,
  dy: FloatArray,
  extent: Extent,
  dgamma: Float64Array,
  dbeta: Float64Array,
): void {
  for (let c = 0; c < dgamma.length; c++) {
    if (Number.isFinite(dgamma[c]) && Number.isFinite(dbeta[c])) continue;
    if (!isFiniteChannel(x, extent, c) || !isFiniteChannel(dy, extent, c)) continue;
    refuse(`a dy whose sums of channel ${c} are ${dgamma[c]} and ${dbeta[c]}`, 'sums that float64 can hold');
  }
}

function isFiniteChannel(x: FloatArray, extent: Extent, c: number): boolean {
  return everyRun(x, extent, c, (run) => run.every(Number.isFinite));
}

function isConstantChannel(x: FloatArray, extent: Extent, c: number): boolean {
  const first = x[c * extent.inner];
  return everyRun(x, extent, c, (run) => run.every((value: number) => value === first));
}

function everyRun(
  x: FloatArray,
  { outer, channels, inner }: Extent,
  c: number,
  holds: (run: FloatArray) => boolean,
): boolean {
  for (let o = 0; o < outer; o++) {
    const begin = (o * channels + c) * inner;
    if (!holds(x.subarray(begin, begin + inner))) return false;
  }
  return true;
}

function refuse(received: string, expected: string): never {
  throw new BatchNormError('NON_FINITE_STATISTICS', `received finite ${received}, expected ${expected}`);
}
