// What roundings do to sums and to the statistics that are made of them, by the arithmetic that a backend declares:
// worst cases to first order, derived in docs/numerics.md.
import type { Accumulation, Backend, Dtype, Execution } from '@batchnorm/core-api';

/** What the backend declares for `dtype`. Errors: when it has the dtype and declares nothing. */
export function accumulationOf({ name, execution }: Backend, dtype: Dtype): Accumulation {
  const declared = byDtype(execution.accumulation)[dtype];
  if (declared === undefined || !accumulations.includes(declared)) {
    throw new Error(
      `execution.accumulation.${dtype} of backend '${name}': received ${declared}, expected ${accumulations.join(', ')}`,
    );
  }
  return declared;
}

/**
 * By dtype, also where a backend declares one word, as in older versions of the contract: it is about float32, and
 * float64 is added up in float64.
 */
function byDtype(accumulation: Execution['accumulation'] | Accumulation): Execution['accumulation'] {
  return typeof accumulation === 'string' ? { float32: accumulation, float64: 'float64' } : accumulation;
}

/** As reports show it: `float64`, or `blocked-float32 (float32), float64 (float64)` where dtypes differ. */
export function describeAccumulation(accumulation: Execution['accumulation']): string {
  const [one, ...others] = new Set(Object.values(byDtype(accumulation)));
  if (one !== undefined && others.length === 0) return one;
  return Object.entries(byDtype(accumulation))
    .map(([dtype, sums]) => `${sums} (${dtype})`)
    .join(', ');
}

const accumulations: readonly Accumulation[] = [
  'float64',
  'blocked-float32',
  'blocked-compensated-float32',
  'compensated-float32',
  'float32',
];

/** Of devices on which there is nothing wider: means and variances are computed in it, too. */
const float32Alone: ReadonlySet<Accumulation> = new Set([
  'blocked-compensated-float32',
  'compensated-float32',
  'float32',
]);

/** What is computed in: float16 is for storage alone. */
type Computed = Exclude<Dtype, 'float16'>;

/**
 * Unit roundoff, half the distance from 1 to the next number, of what activations of each dtype are computed in. What
 * storing float16 rounds besides is no part of a bound: see float16/before-rounding.ts.
 */
export const unitRoundoff: Readonly<Record<Dtype, number>> = {
  float16: 2 ** -24,
  float32: 2 ** -24,
  float64: 2 ** -53,
};

/** The most that a term below the normal numbers of its dtype may lose: some processors take it for 0. */
const smallestNormal: Readonly<Record<Computed, number>> = { float32: 2 ** -126, float64: 2 ** -1022 };

/**
 * The largest distance of a pivot from the mean, in deviations. A pivot is the mean, rounded to the terms' dtype, and
 * no value can be nearer to the mean; a float32 sum that finds it adds M roundings.
 */
function pivotDistance(terms: Computed, valuesPerChannel: number): number {
  return 1 + 4 * valuesPerChannel * unitRoundoff[terms];
}

/** S: the longest chain of additions in a sum of M terms, with blocks of 64 to 1024 terms merged one by one. */
function longestChain(valuesPerChannel: number): number {
  return Math.min(valuesPerChannel, 1024 + Math.ceil(valuesPerChannel / 64));
}

/** The dtype of the terms: what is added up has been rounded to it. */
export function termsOf(accumulation: Accumulation): Computed {
  return accumulation === 'float64' ? 'float64' : 'float32';
}

/** The largest error of a sum of M terms, relative to the sum of their sizes. */
export function errorOfSum(accumulation: Accumulation, valuesPerChannel: number): number {
  const [u, w] = [unitRoundoff.float32, unitRoundoff.float64];
  const S = longestChain(valuesPerChannel);
  switch (accumulation) {
    case 'float64':
      return S * w;
    case 'blocked-float32':
      return 3 * u + valuesPerChannel * w;
    case 'blocked-compensated-float32':
      return 3 * u + valuesPerChannel * u ** 2;
    case 'compensated-float32':
      return 2 * u;
    case 'float32':
      return S * u;
  }
}

/** Absolute errors of means and variances, [C] each. */
export interface StatisticsErrors {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/**
 * The errors of a mean, in deviations, and of a variance, relative to it, that are computed from deviations around a
 * pivot: `sum` is the relative error of a sum, `u` the unit roundoff of its terms, `distance` how many deviations the
 * pivot lies from the mean.
 */
function errorsAroundPivot(sum: number, u: number, distance: number): { mean: number; variance: number } {
  /** The root of the mean of the terms' squares, which is at least the mean of their sizes. */
  const size = Math.hypot(1, distance);
  const [ofDeviations, ofSquares] = [sum + u, sum + 3 * u];
  return { mean: ofDeviations * size, variance: ofSquares * size ** 2 + 2 * ofDeviations * size * distance };
}

/** How many values a backend with float64 sums may first add up around one of them, to find its pivot. */
const firstBlock = 8;

/** The largest errors of the statistics of a batch, in one arithmetic. */
function errorsOfBatch(
  accumulation: Accumulation,
  valuesPerChannel: number,
  mean: ArrayLike<number>,
  variance: ArrayLike<number>,
): StatisticsErrors {
  const terms = termsOf(accumulation);
  const u = unitRoundoff[terms];
  const sum = errorOfSum(accumulation, valuesPerChannel);
  const distance = pivotDistance(terms, valuesPerChannel);
  const relative = errorsAroundPivot(sum, u, distance);
  if (accumulation === 'float64') {
    const n = Math.min(firstBlock, valuesPerChannel);
    const first = errorsAroundPivot(n * u, u, Math.sqrt(n - 1));
    relative.mean += first.mean;
    relative.variance += first.variance;
  }
  if (float32Alone.has(accumulation)) {
    // Mean and variance are rounded to it, too.
    relative.mean += 3 * u * distance;
    relative.variance += 5 * u * (1 + distance ** 2);
  }
  // Plain sums may be sums of values, not of deviations: their error is relative to the mean. A mean is rounded in any
  // case.
  const isPlain = accumulation === 'float64' || accumulation === 'float32';
  const ofMean = isPlain ? sum + u : unitRoundoff.float64;
  const errors = { mean: new Float64Array(mean.length), variance: new Float64Array(mean.length) };
  const smallest = smallestNormal[terms];
  for (let c = 0; c < mean.length; c++) {
    const meanError = relative.mean * Math.sqrt(variance[c]!) + ofMean * Math.abs(mean[c]!);
    errors.mean[c] = meanError + smallest;
    errors.variance[c] = relative.variance * variance[c]! + meanError ** 2 + smallest;
  }
  return errors;
}

/**
 * How far a backend's statistics of a batch may lie from the golden ones, which have float64 roundings of their own.
 */
export function errorsOfStatistics(
  accumulation: Accumulation,
  valuesPerChannel: number,
  mean: ArrayLike<number>,
  variance: ArrayLike<number>,
): StatisticsErrors {
  const errors = errorsOfBatch(accumulation, valuesPerChannel, mean, variance);
  const golden = errorsOfBatch('float64', valuesPerChannel, mean, variance);
  for (let c = 0; c < mean.length; c++) {
    errors.mean[c]! += golden.mean[c]!;
    errors.variance[c]! += golden.variance[c]!;
  }
  return errors;
}
