// What roundings do to sums and to the statistics that are made of them, by the arithmetic that a backend declares: worst
// cases to first order, derived in docs/numerics.md.
import type { Accumulation, Dtype } from '@batchnorm/core-api';

/** Unit roundoff: half the distance from 1 to the next number. */
export const unitRoundoff: Readonly<Record<Dtype, number>> = { float32: 2 ** -24, float64: 2 ** -53 };

/** What a term may lose that is too small for its dtype: some processors know no numbers below the normal ones. */
const smallestNormal: Readonly<Record<Dtype, number>> = { float32: 2 ** -126, float64: 2 ** -1022 };

/** A pivot's distance from the mean of what is summed around it: squared, at most so many variances. */
const pivotDistance = 1;

/** S: the longest chain of additions in a sum of M terms, with blocks of at most 256 terms merged one by one. */
function longestChain(valuesPerChannel: number): number {
  return Math.min(valuesPerChannel, 256 + Math.ceil(valuesPerChannel / 256));
}

/** The dtype of the terms: what is added up has been rounded to it. */
export function termsOf(accumulation: Accumulation): Dtype {
  return accumulation === 'float64' ? 'float64' : 'float32';
}

/** The largest error of a sum of M terms, relative to the sum of their sizes. */
export function errorOfSum(accumulation: Accumulation, valuesPerChannel: number): number {
  const [u, w] = [unitRoundoff.float32, unitRoundoff.float64];
  const S = longestChain(valuesPerChannel);
  return {
    float64: S * w,
    'blocked-float32': 3 * u + valuesPerChannel * w,
    'compensated-float32': 2 * u,
    float32: S * u,
  }[accumulation];
}

/** Absolute errors of a channel's mean and variance. */
export interface StatisticsErrors {
  readonly mean: number;
  readonly variance: number;
}

/** The largest errors of the statistics of a batch, in one arithmetic. */
function errorsOfBatch(
  accumulation: Accumulation,
  valuesPerChannel: number,
  mean: number,
  variance: number,
): StatisticsErrors {
  const terms = termsOf(accumulation);
  const u = unitRoundoff[terms];
  const K = pivotDistance;
  const sum = errorOfSum(accumulation, valuesPerChannel);
  const [ofDeviations, ofSquares] = [sum + u, sum + 3 * u];
  // Plain sums of values have the mean in their terms; those that take care of their roundings are of deviations from a pivot.
  const isPlain = accumulation === 'float64' || accumulation === 'float32';
  const absolute = Math.abs(mean);
  const meanError =
    ofDeviations * Math.sqrt((1 + K) * variance) + (isPlain ? ofDeviations : unitRoundoff.float64) * absolute;
  const varianceError = (ofSquares * (1 + K) + 2 * ofDeviations * Math.sqrt(K * (1 + K))) * variance + meanError ** 2;
  return { mean: meanError + smallestNormal[terms], variance: varianceError + smallestNormal[terms] };
}

/** How far a backend's statistics of a batch may lie from the golden ones, which have float64 roundings of their own. */
export function errorsOfStatistics(
  accumulation: Accumulation,
  valuesPerChannel: number,
  mean: number,
  variance: number,
): StatisticsErrors {
  const backend = errorsOfBatch(accumulation, valuesPerChannel, mean, variance);
  const golden = errorsOfBatch('float64', valuesPerChannel, mean, variance);
  return { mean: backend.mean + golden.mean, variance: backend.variance + golden.variance };
}
