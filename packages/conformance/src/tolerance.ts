// How far a result may lie from the exact one: the bound that docs/numerics.md derives, never a constant that fits.
import type { Dtype } from '@batchnorm/core-api';

/** What a layer computes and a check compares. */
export type Quantity = 'y' | 'dx' | 'dgamma' | 'dbeta' | 'runningMean' | 'runningVariance';

export interface Circumstances {
  /** Of activations. Statistics, parameter gradients and their sums are float64 whatever it is. */
  readonly dtype: Dtype;
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
export function tolerance(quantity: Quantity, { dtype, valuesPerChannel, conditioning }: Circumstances): number {
  const u = unitRoundoff[dtype];
  const S = longestChain(valuesPerChannel);
  /** Of xHat, relative to 1 + |xHat|. */
  const delta = 4 * u + 4 * S * w * (1 + conditioning);
  switch (quantity) {
    case 'y':
      return delta + 3 * u;
    case 'dx':
      return 3 * delta + 8 * u;
    case 'dgamma':
      return delta + u + 2 * S * w;
    case 'dbeta':
    case 'runningMean':
      return 2 * S * w + 4 * w;
    case 'runningVariance':
      return 4 * S * w + 8 * w + (2 * S * w * (1 + conditioning)) ** 2;
  }
}
