// How far a result may lie from the exact one: the bound that docs/numerics.md derives, never a constant that fits.
import type { Dtype, Execution } from '@batchnorm/core-api';

/** What a layer computes and a check compares. */
export type Quantity = 'y' | 'dx' | 'dgamma' | 'dbeta' | 'runningMean' | 'runningVariance';

export interface Circumstances {
  /** Of activations. Statistics and parameter gradients are float64 on the host whatever it is. */
  readonly dtype: Dtype;
  /** The arithmetic of the backend's sums, as its `execution` says; a report shows it. */
  readonly accumulation: Execution['accumulation'];
  /** M, the number of values per channel. */
  readonly valuesPerChannel: number;
  /** |mean| / √(variance + epsilon) of the channel: how much of a value's digits its mean takes up. */
  readonly conditioning: number;
}

/** Unit roundoff: half the distance from 1 to the next number. */
const unitRoundoff: Readonly<Record<Dtype, number>> = { float32: 2 ** -24, float64: 2 ** -53 };
const w = unitRoundoff.float64;

/** S: the longest chain of additions in a sum of M terms, with blocks of at most 256 terms merged one by one. */
function longestChain(valuesPerChannel: number): number {
  return Math.min(valuesPerChannel, 256 + Math.ceil(valuesPerChannel / 256));
}

/**
 * The largest relative error of `quantity`, to first order: times the magnitude in magnitudes.ts it bounds the absolute
 * error. Derived in docs/numerics.md; the golden result's own float64 error is in it.
 */
export function tolerance(
  quantity: Quantity,
  { dtype, accumulation, valuesPerChannel, conditioning }: Circumstances,
): number {
  const u = unitRoundoff[dtype];
  const S = longestChain(valuesPerChannel);
  /** Of a golden sum. */
  const golden = S * w;
  /** Of the backend's sum, relative to the sum of its terms' sizes. */
  const e = { float64: golden, 'compensated-float32': 2 * unitRoundoff.float32, float32: S * unitRoundoff.float32 }[
    accumulation
  ];
  /** Of the backend's mean, in deviations: compensated sums are of deviations from a pivot. */
  const mean = accumulation === 'compensated-float32' ? e : e * (1 + conditioning);
  /** Of xHat, relative to 1 + |xHat|. */
  const delta = 4 * u + 2 * (golden * (1 + conditioning) + mean);
  switch (quantity) {
    case 'y':
      return delta + 3 * u;
    case 'dx':
      return 3 * delta + 8 * u;
    case 'dgamma':
      return delta + u + golden + e;
    case 'dbeta':
      return golden + e + 4 * w;
    case 'runningMean':
      return golden + mean / (1 + conditioning) + 4 * w;
    case 'runningVariance':
      return 2 * golden + 2 * e + 8 * w + (2 * golden * (1 + conditioning)) ** 2;
  }
}
