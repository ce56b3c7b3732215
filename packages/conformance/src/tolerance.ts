// How far a result may lie from the exact one: the bound that docs/numerics.md derives, never a constant that fits.
import type { Accumulation, Dtype } from '@batchnorm/core-api';
import { errorOfSum, termsOf, unitRoundoff } from './arithmetic.js';

/** What a layer computes and a check compares. */
export type Quantity = 'y' | 'dx' | 'dgamma' | 'dbeta' | 'runningMean' | 'runningVariance';

export interface Circumstances {
  /** The dtype of activations. Statistics and gradients of parameters are float64 on the host in any case. */
  readonly dtype: Dtype;
  /** The arithmetic of the backend's sums of this dtype, as its `execution` says; a report shows it. */
  readonly accumulation: Accumulation;
  /** The number of values per channel, of which gradients are sums. */
  readonly valuesPerChannel: number;
  /** The error of each channel's mean, in units of σ = √(variance + epsilon). */
  readonly meanError: Float64Array;
  /** The relative error of σ. */
  readonly deviationError: Float64Array;
  /** Whether dx passes through batch statistics. */
  readonly throughStatistics: boolean;
  /**
   * |mean| in units of σ where the mean was given, 0 where it is the batch's own: then it is within σ of a rounded
   * mean.
   */
  readonly conditioning: Float64Array;
  /** Whether y has a residual added to it. Default false. */
  readonly hasResidual?: boolean;
}

/**
 * The largest error of `quantity` in each channel, to first order, relative to its magnitude in magnitudes.ts. Derived
 * in docs/numerics.md; the golden result's own float64 error is in it.
 */
export function tolerances(
  quantity: Exclude<Quantity, 'runningMean' | 'runningVariance'>,
  circumstances: Circumstances,
): Float64Array {
  const { dtype, accumulation, valuesPerChannel } = circumstances;
  const { meanError, deviationError, conditioning, throughStatistics, hasResidual = false } = circumstances;
  // The backend and the oracle both round activations and terms, and both have errors of sums.
  const w = unitRoundoff.float64;
  const u = unitRoundoff[dtype] + w;
  const t = unitRoundoff[termsOf(accumulation)] + w;
  const e = errorOfSum(accumulation, valuesPerChannel) + errorOfSum('float64', valuesPerChannel);
  /** How far a rounded mean may be from the mean, in units of σ, where that is more than 1. */
  const lambda = (roundoff: number, c: number) => Math.max(1, roundoff * conditioning[c]!);
  /** The error of xHat, relative to 1 + |xHat|. */
  const delta = (roundoff: number, c: number) =>
    5 * lambda(roundoff, c) * roundoff + Math.max(meanError[c]!, deviationError[c]!);
  switch (quantity) {
    case 'y':
      return meanError.map((_, c) => delta(u, c) + (hasResidual ? 4 : 3) * u);
    case 'dx':
      return throughStatistics
        ? meanError.map((_, c) => 3 * delta(u, c) + 9 * u + 2 * e)
        : deviationError.map((error) => error + 9 * u);
    case 'dgamma':
      return meanError.map((_, c) => delta(t, c) + lambda(t, c) * (3 * t + 2 * e));
    case 'dbeta':
      return new Float64Array(meanError.length).fill(e + 4 * w);
  }
}
