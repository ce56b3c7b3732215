// What relative errors are relative to: for each result, the sizes of the terms that it is computed from. A sum that
// cancels can't be more accurate than its terms.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { channelOf, isCounted, meanOver } from './channels.js';

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

/** What else a step may have. */
export interface Extras {
  /** Which positions have a part in the batch's statistics. Default: all. */
  readonly mask?: CountedPositions | undefined;
  /** Added to what was normalised. Default: nothing. */
  readonly residual?: ArrayLike<number> | undefined;
}

/**
 * y: |gamma| (1 + |xHat|) + |beta| + |residual|. dgamma: Σ |g| (1 + |xHat|). dbeta: Σ |g|. dx: |gamma| invStd |g|, and
 * through the statistics of M values |gamma| invStd (|g| + Σ |g| / M + (1 + |xHat|) · Σ |g| (1 + |xHat|) / M).
 * `dy` is g, the gradient behind the activation.
 */
export function magnitudes(
  x: ArrayLike<number>,
  dy: ArrayLike<number> | undefined,
  extent: Extent,
  { mean, variance, epsilon, gamma, beta }: Normalization,
  throughStatistics: boolean,
  { mask, residual }: Extras = {},
): Magnitudes {
  const all = valuesPerChannel(extent);
  const share = mask === undefined ? 1 : all / mask.count;
  const invStd = Float64Array.from({ length: extent.channels }, (_, c) => {
    const square = at(variance, c) + epsilon;
    return square === 0 ? 0 : 1 / Math.sqrt(square);
  });
  const spread = (k: number, c: number) => 1 + Math.abs(at(x, k) - at(mean, c)) * invStd[c]!;
  const size = (k: number) => (dy === undefined ? 0 : Math.abs(at(dy, k)));
  const means = (term: (k: number, c: number) => number) =>
    lazily(() => Float64Array.from(invStd, (_, c) => meanOver(c, extent, (k) => term(k, c))));
  const gMean = means(size);
  const gXHatMean = means((k, c) => size(k) * spread(k, c));
  const through = (k: number, c: number) =>
    throughStatistics && isCounted(k, extent, mask) ? share * (gMean(c) + spread(k, c) * gXHatMean(c)) : 0;
  const added = (k: number) => (residual === undefined ? 0 : Math.abs(at(residual, k)));
  const ofElement = (of: (k: number, c: number) => number): Magnitude => {
    return (k) => of(k, channelOf(k, extent));
  };
  return {
    y: ofElement((k, c) => Math.abs(at(gamma, c)) * spread(k, c) + Math.abs(at(beta, c)) + added(k)),
    dx: ofElement((k, c) => Math.abs(at(gamma, c)) * invStd[c]! * (size(k) + through(k, c))),
    dgamma: (c) => all * gXHatMean(c),
    dbeta: (c) => all * gMean(c),
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
