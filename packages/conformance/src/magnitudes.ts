// What relative errors are relative to: for each result, the sizes of the terms that it is computed from. A sum that
// cancels can't be more accurate than its terms.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { float64Of, mapElements, meansOf, type OfElement } from './channels.js';

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
 * through the statistics of M values |gamma| invStd (|g| + Σ |g| / M + (1 + |xHat|) · Σ |g| (1 + |xHat|) / M). `gradient`
 * is g, which is dy without an activation.
 */
export function magnitudes(
  values: ArrayLike<number>,
  gradient: ArrayLike<number> | undefined,
  extent: Extent,
  { epsilon, ...of }: Normalization,
  throughStatistics: boolean,
  { mask, residual }: Extras = {},
): Magnitudes {
  const all = valuesPerChannel(extent);
  const share = mask === undefined ? 1 : all / mask.count;
  const [x, g] = [float64Of(values), gradient && float64Of(gradient)];
  const added = residual && float64Of(residual);
  const [mean, gamma, beta] = [of.mean, of.gamma, of.beta].map(float64Of) as [Float64Array, Float64Array, Float64Array];
  const invStd = float64Of(of.variance).map((variance) => {
    const square = variance + epsilon;
    return square === 0 ? 0 : 1 / Math.sqrt(square);
  });
  const spread: OfElement = (k, c) => 1 + Math.abs(x[k]! - mean[c]!) * invStd[c]!;
  const size = (k: number) => (g === undefined ? 0 : Math.abs(g[k]!));
  const gMean = once(() => meansOf(extent, size));
  const gXHatMean = once(() => meansOf(extent, (k, c, p) => size(k) * spread(k, c, p)));
  const ofZ: OfElement = (k, c, p) => Math.abs(gamma[c]!) * spread(k, c, p) + Math.abs(beta[c]!);
  return {
    y: lazily(() => mapElements(extent, added ? (k, c, p) => ofZ(k, c, p) + Math.abs(added[k]!) : ofZ)),
    dx: lazily(() => {
      const [ofG, ofGXHat] = throughStatistics ? [gMean(), gXHatMean()] : [];
      const through: OfElement = (k, c, p) =>
        ofG && ofGXHat && mask?.positions[p] !== 0 ? share * (ofG[c]! + spread(k, c, p) * ofGXHat[c]!) : 0;
      return mapElements(extent, (k, c, p) => Math.abs(gamma[c]!) * invStd[c]! * (size(k) + through(k, c, p)));
    }),
    dgamma: lazily(() => gXHatMean().map((value) => all * value)),
    dbeta: lazily(() => gMean().map((value) => all * value)),
  };
}

/** Computed when it is asked for first. */
function once<T>(compute: () => T): () => T {
  let value: T | undefined;
  return () => {
    value ??= compute();
    return value;
  };
}

/** Numbers that are computed, all of them, when one is asked for: there may be a million. */
export function lazily(compute: () => Float64Array): (index: number) => number {
  let values: Float64Array | undefined;
  return (index) => {
    values ??= compute();
    return values[index]!;
  };
}
