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
 * y: |gamma| (1 + |xHat|) + |beta|. dgamma: Σ |dy| (1 + |xHat|). dbeta: Σ |dy|. dx: |gamma| invStd |dy|, and through
 * batch statistics |gamma| invStd (|dy| + mean |dy| + (1 + |xHat|) · mean(|dy| (1 + |xHat|))).
 */
export function magnitudes(
  x: ArrayLike<number>,
  dy: ArrayLike<number> | undefined,
  extent: Extent,
  { mean, variance, epsilon, gamma, beta }: Normalization,
  throughStatistics: boolean,
): Magnitudes {
  const M = valuesPerChannel(extent);
  const invStd = Float64Array.from({ length: extent.channels }, (_, c) => {
    const square = at(variance, c) + epsilon;
    return square === 0 ? 0 : 1 / Math.sqrt(square);
  });
  const spread = (k: number, c: number) => 1 + Math.abs(at(x, k) - at(mean, c)) * invStd[c]!;
  const size = (k: number) => (dy === undefined ? 0 : Math.abs(at(dy, k)));
  const means = (term: (k: number, c: number) => number) =>
    lazily(() => Float64Array.from(invStd, (_, c) => meanOver(c, extent, (k) => term(k, c))));
  const dyMean = means(size);
  const dyXHatMean = means((k, c) => size(k) * spread(k, c));
  const through = (k: number, c: number) => (throughStatistics ? dyMean(c) + spread(k, c) * dyXHatMean(c) : 0);
  const ofElement = (of: (k: number, c: number) => number): Magnitude => {
    return (k) => of(k, channelOf(k, extent));
  };
  return {
    y: ofElement((k, c) => Math.abs(at(gamma, c)) * spread(k, c) + Math.abs(at(beta, c))),
    dx: ofElement((k, c) => Math.abs(at(gamma, c)) * invStd[c]! * (size(k) + through(k, c))),
    dgamma: (c) => M * dyXHatMean(c),
    dbeta: (c) => M * dyMean(c),
  };
}

/** Computed when one of them is asked for. */
function lazily(compute: () => Float64Array): Magnitude {
  let values: Float64Array | undefined;
  return (index) => {
    values ??= compute();
    return values[index]!;
  };
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index]!;
}
