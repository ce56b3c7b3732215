// What relative errors are relative to: for each result, the sizes of the terms that it is computed from. A sum that
// cancels can't be more accurate than its terms.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { channelsOf, countsOf, float64Of, meansOf } from './channels.js';

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
  const channel = channelsOf(extent);
  const spread = once(() => {
    const spreads = new Float64Array(x.length);
    for (let k = 0; k < x.length; k++) {
      const c = channel[k]!;
      spreads[k] = 1 + Math.abs(x[k]! - mean[c]!) * invStd[c]!;
    }
    return spreads;
  });
  const size = once(() => {
    const sizes = new Float64Array(x.length);
    if (g !== undefined) for (let k = 0; k < x.length; k++) sizes[k] = Math.abs(g[k]!);
    return sizes;
  });
  const gMean = once(() => meansOf(size(), extent));
  const gXHatMean = once(() => {
    const [sizes, spreads] = [size(), spread()];
    const products = new Float64Array(x.length);
    for (let k = 0; k < x.length; k++) products[k] = sizes[k]! * spreads[k]!;
    return meansOf(products, extent);
  });
  return {
    y: lazily(() => {
      const spreads = spread();
      const y = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) {
        const c = channel[k]!;
        y[k] = Math.abs(gamma[c]!) * spreads[k]! + Math.abs(beta[c]!);
      }
      if (added) for (let k = 0; k < x.length; k++) y[k]! += Math.abs(added[k]!);
      return y;
    }),
    dx: lazily(() => {
      const [ofG, ofGXHat] = throughStatistics ? [gMean(), gXHatMean()] : [];
      const counts = mask && countsOf(extent, mask);
      const [sizes, spreads] = [size(), spread()];
      const dx = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) {
        const c = channel[k]!;
        const isThrough = ofG && ofGXHat && counts?.[k] !== 0;
        const through = isThrough ? share * (ofG[c]! + spreads[k]! * ofGXHat[c]!) : 0;
        dx[k] = Math.abs(gamma[c]!) * invStd[c]! * (sizes[k]! + through);
      }
      return dx;
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
