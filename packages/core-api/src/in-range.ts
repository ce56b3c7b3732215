// The range of float64: finite values whose squares, sums or scales overflow, or underflow to few digits, are refused.
import type { GradientSums } from './backend.js';
import type { CountedPositions } from './counted-positions.js';
import { refuse } from './errors.js';
import { type Extent, everyRun } from './extent.js';
import type { Moments } from './moments.js';
import type { SavedForward } from './saved-forward.js';
import type { FloatArray } from './tensor.js';

/** The smallest variance + epsilon: rounding squares to multiples of 2⁻¹⁰⁷⁴ is less than a roundoff of it. */
const leastSquare = 2 ** -1020;
/** The smallest number that has all its digits. */
const leastNormal = 2 ** -1022;

/**
 * Moments of the values of `x`, by which they are to be normalised. `epsilon` will be added to the variance. Errors: `NON_FINITE_STATISTICS` where the values of a channel that count are finite and not all
 * the mean, and float64 can't hold the mean, or variance + epsilon: y would be finite and wrong. Values that are not
 * finite pass, because their y is NaN.
 */
export function assertMomentsInRange(
  { count, mean, m2 }: Moments,
  x: FloatArray,
  extent: Extent,
  epsilon: number,
  mask?: CountedPositions,
): void {
  for (let c = 0; c < mean.length; c++) {
    assertChannelInRange(mean[c]!, m2[c]! / count, c, x, extent, epsilon, mask);
  }
}

/**
 * The same of moments that are merged with those of other values, which have been looked at where they came from: what
 * is NaN in them comes of values that are not finite, of others perhaps, and spreads.
 */
export function assertMergedMomentsInRange(
  { count, mean, m2 }: Moments,
  x: FloatArray,
  extent: Extent,
  epsilon: number,
  mask?: CountedPositions,
): void {
  for (let c = 0; c < mean.length; c++) {
    if (Number.isNaN(mean[c]) || Number.isNaN(m2[c])) continue;
    assertChannelInRange(mean[c]!, m2[c]! / count, c, x, extent, epsilon, mask);
  }
}

function assertChannelInRange(
  mean: number,
  variance: number,
  c: number,
  x: FloatArray,
  extent: Extent,
  epsilon: number,
  mask: CountedPositions | undefined,
): void {
  const square = variance + epsilon;
  if (square >= leastSquare && square < Number.POSITIVE_INFINITY && Number.isFinite(mean)) return;
  if (!isFiniteChannel(x, extent, c, mask) || isChannelOf(mean, x, extent, c, mask)) return;
  refuse(
    'NON_FINITE_STATISTICS',
    `finite values of channel ${c} with mean ${mean} and variance ${variance}`,
    'squares that float64 can add up',
  );
}

/**
 * Before y is written: `invStd`, and `scale` = gamma · invStd, [C] each. Errors: `NON_FINITE_STATISTICS` where float64
 * can't hold the product of finite numbers: y would be NaN, or beta alone.
 */
export function assertScaleInRange(
  { invStd, scale }: Pick<SavedForward, 'invStd' | 'scale'>,
  gamma: Float64Array,
): void {
  for (let c = 0; c < scale.length; c++) {
    if (!isLost(scale[c]!, gamma[c]!, invStd[c]!)) continue;
    refuse(
      'NON_FINITE_STATISTICS',
      `finite gamma ${gamma[c]} and 1/σ ${invStd[c]} in channel ${c}`,
      'a product that float64 can hold',
    );
  }
}

/**
 * Before anything is written of a backward of `dy`, whose sums are `dgamma` and `dbeta`. `total` are the sums of all M
 * values per channel that were normalised together; null where statistics were given.
 * Errors: `NON_FINITE_STATISTICS` where x and dy of a channel are finite, and dgamma or dbeta is not; or where float64
 * can't hold dgamma · invStd / M of `total`, by which x comes into dx.
 */
export function assertBackwardInRange(
  { x, invStd, M }: Pick<SavedForward, 'x' | 'invStd' | 'M'>,
  extent: Extent,
  dy: FloatArray,
  { dgamma, dbeta }: GradientSums,
  total: GradientSums | null,
): void {
  for (let c = 0; c < dgamma.length; c++) {
    const areFinite = Number.isFinite(dgamma[c]) && Number.isFinite(dbeta[c]);
    // Statistics that are NaN have been looked at, and spread.
    if (!areFinite && !Number.isNaN(invStd[c]) && isFiniteChannel(x, extent, c) && isFiniteChannel(dy, extent, c)) {
      refuse(
        'NON_FINITE_STATISTICS',
        `a finite dy whose sums of channel ${c} are ${dgamma[c]} and ${dbeta[c]}`,
        'sums that float64 can hold',
      );
    }
    if (total === null) continue;
    const slope = (total.dgamma[c]! * invStd[c]!) / M;
    if (isLost(slope, total.dgamma[c]!, invStd[c]!)) {
      refuse(
        'NON_FINITE_STATISTICS',
        `finite dgamma ${total.dgamma[c]} and 1/σ ${invStd[c]} in channel ${c}`,
        'a product that float64 can hold',
      );
    }
  }
}

/**
 * Whether `factor` · 1/σ is no number, or lost digits that a multiplication by x − mean, which is as large as σ, would
 * show.
 */
function isLost(product: number, factor: number, invStd: number): boolean {
  if (!Number.isFinite(factor) || !Number.isFinite(invStd)) return false;
  if (!Number.isFinite(product)) return true;
  return Math.abs(product) < leastNormal && factor !== 0 && invStd < 1 && invStd > 0;
}

function isFiniteChannel(x: FloatArray, extent: Extent, c: number, mask?: CountedPositions): boolean {
  return everyRun(x, extent, c, (run) => run.every(Number.isFinite), mask);
}

function isChannelOf(value: number, x: FloatArray, extent: Extent, c: number, mask?: CountedPositions): boolean {
  return everyRun(x, extent, c, (run) => run.every((one: number) => one === value), mask);
}
