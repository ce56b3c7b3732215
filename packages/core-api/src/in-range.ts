// The range of float64: finite values whose squares, sums or scales overflow, or underflow to few digits, are refused.
import type { Statistics } from './backend.js';
import { refuse } from './errors.js';
import type { Extent } from './extent.js';
import type { FloatArray } from './tensor.js';

/** The smallest variance + epsilon: rounding squares to multiples of 2⁻¹⁰⁷⁴ is less than a roundoff of it. */
const leastSquare = 2 ** -1020;

/**
 * Errors: `NON_FINITE_STATISTICS` where a channel's values are finite and not all equal, and float64 can't hold their
 * mean, or variance + epsilon: y would be finite and wrong. Values that are not finite pass, because their y is NaN.
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
    refuseChannel(
      `values of channel ${c} with mean ${mean[c]} and variance ${variance[c]}`,
      'squares that float64 can add up',
    );
  }
}

/** The least number that has all its digits. */
const leastNormal = 2 ** -1022;

/**
 * Whether `factor` · 1/σ is no number, or lost digits that a multiplication by x − mean, which is as large as σ, would
 * show.
 */
function isLost(product: number, factor: number, invStd: number): boolean {
  if (!Number.isFinite(factor) || !Number.isFinite(invStd)) return false;
  if (!Number.isFinite(product)) return true;
  return Math.abs(product) < leastNormal && factor !== 0 && invStd < 1 && invStd > 0;
}

/** Errors: `NON_FINITE_STATISTICS` where float64 does not have gamma · invStd: y would be NaN, or beta alone. */
export function assertScalesInRange(scale: Float64Array, gamma: Float64Array, invStd: Float64Array): void {
  for (let c = 0; c < scale.length; c++) {
    if (!isLost(scale[c]!, gamma[c]!, invStd[c]!)) continue;
    refuseChannel(`gamma ${gamma[c]} and 1/σ ${invStd[c]} in channel ${c}`, 'a product that float64 can hold');
  }
}

/** Errors: `NON_FINITE_STATISTICS` where float64 does not have dgamma · invStd, by which dx goes through x. */
export function assertSlopesInRange(dgamma: Float64Array, invStd: Float64Array, M: number): void {
  for (let c = 0; c < dgamma.length; c++) {
    const product = dgamma[c]! * invStd[c]!;
    if (!isLost(product, dgamma[c]!, invStd[c]!) && !isLost(product / M, dgamma[c]!, invStd[c]!)) continue;
    refuseChannel(`dgamma ${dgamma[c]} and 1/σ ${invStd[c]} in channel ${c}`, 'a product that float64 can hold');
  }
}

/** Errors: `NON_FINITE_STATISTICS` where x and dy of a channel are finite, and dgamma or dbeta is not. */
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
    refuseChannel(`a dy whose sums of channel ${c} are ${dgamma[c]} and ${dbeta[c]}`, 'sums that float64 can hold');
  }
}

function isFiniteChannel(x: FloatArray, extent: Extent, c: number): boolean {
  return everyRun(x, extent, c, (run) => run.every(Number.isFinite));
}

function isConstantChannel(x: FloatArray, extent: Extent, c: number): boolean {
  const first = x[c * extent.inner];
  return everyRun(x, extent, c, (run) => run.every((value: number) => value === first));
}

/** Whether `holds` for every run of neighbours that belong to channel c. */
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

function refuseChannel(received: string, expected: string): never {
  refuse('NON_FINITE_STATISTICS', `finite ${received}`, expected);
}
