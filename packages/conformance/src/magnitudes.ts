// What relative errors are relative to: for each result, the sizes of the terms that it is computed from. A sum that
// cancels can't be more accurate than its terms.
import { type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { channelOf, meanOver } from './channels.js';

/** The statistics that normalise one channel, and the parameters of the layer. */
export interface Normalization {
  readonly mean: ArrayLike<number>;
  readonly variance: ArrayLike<number>;
  readonly epsilon: number;
  readonly gamma: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
}

/** A magnitude for each element of a result. */
export type Magnitude = (index: number) => number;

export interface Magnitudes {
  readonly y: Magnitude;
  readonly dx: Magnitude;
  readonly dgamma: Magnitude;
  readonly dbeta: Magnitude;
}

/**
 * y: |gamma| (1 + |xHat|) + |beta|. dgamma: Σ |dy| (1 + |xHat|). dbeta: Σ |dy|. dx: |gamma| invStd |dy|, and through batch
 * statistics |gamma| invStd (|dy| + mean |dy| + (1 + |xHat|) · mean(|dy| (1 + |xHat|))).
 */
export function magnitudes(
  x: ArrayLike<number>,
  dy: ArrayLike<number> | undefined,
  extent: Extent,
  { mean, variance, epsilon, gamma, beta }: Normalization,
  throughStatistics: boolean,
): Magnitudes {
  const M = valuesPerChannel(extent);
  const invStd = (c: number) => 1 / Math.sqrt(at(variance, c) + epsilon);
  const spread = (i: number) => {
    const c = channelOf(i, extent);
    return 1 + Math.abs(at(x, i) - at(mean, c)) * invStd(c);
  };
  const size = (i: number) => Math.abs(dy === undefined ? 0 : at(dy, i));
  const channels = Array.from({ length: extent.channels }, (_, c) => ({
    dy: meanOver(c, extent, size),
    dyXHat: meanOver(c, extent, (i) => size(i) * spread(i)),
  }));
  const means = (c: number) => channels[c] as (typeof channels)[number];
  return {
    y: (i) => {
      const c = channelOf(i, extent);
      return Math.abs(at(gamma, c)) * spread(i) + Math.abs(at(beta, c));
    },
    dx: (i) => {
      const c = channelOf(i, extent);
      const terms = throughStatistics ? means(c).dy + spread(i) * means(c).dyXHat : 0;
      return Math.abs(at(gamma, c)) * invStd(c) * (size(i) + terms);
    },
    dgamma: (c) => M * means(c).dyXHat,
    dbeta: (c) => M * means(c).dy,
  };
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index]!;
}
