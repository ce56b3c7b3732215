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

/** A magnitude for each element of a result, computed when it is asked for: there may be a million. */
export interface Magnitudes {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
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
  const spread = (k: number) => 1 + Math.abs(x[k]! - mean[channel[k]!]!) * invStd[channel[k]!]!;
  const size = once(() => {
    const sizes = new Float64Array(x.length);
    if (g !== undefined) for (let k = 0; k < x.length; k++) sizes[k] = Math.abs(g[k]!);
    return sizes;
  });
  const gMean = once(() => meansOf(size(), extent));
  const gXHatMean = once(() => {
    const sizes = size();
    const products = new Float64Array(x.length);
    for (let k = 0; k < x.length; k++) products[k] = sizes[k]! * spread(k);
    return meansOf(products, extent);
  });
  return {
    get y() {
      const y = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) {
        const c = channel[k]!;
        y[k] = Math.abs(gamma[c]!) * spread(k) + Math.abs(beta[c]!);
      }
      if (added) for (let k = 0; k < x.length; k++) y[k]! += Math.abs(added[k]!);
      return y;
    },
    get dx() {
      const [ofG, ofGXHat] = throughStatistics ? [gMean(), gXHatMean()] : [];
      const counts = mask && countsOf(extent, mask);
      const sizes = size();
      const dx = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) {
        const c = channel[k]!;
        const isThrough = ofG && ofGXHat && counts?.[k] !== 0;
        const through = isThrough ? share * (ofG[c]! + spread(k) * ofGXHat[c]!) : 0;
        dx[k] = Math.abs(gamma[c]!) * invStd[c]! * (sizes[k]! + through);
      }
      return dx;
    },
    get dgamma() {
      return gXHatMean().map((value) => all * value);
    },
    get dbeta() {
      return gMean().map((value) => all * value);
    },
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
