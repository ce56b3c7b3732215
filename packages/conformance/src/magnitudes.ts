// What relative errors are relative to: for each result, the sizes of the terms that it is computed from. A sum that
// cancels can't be more accurate than its terms.
import { type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { channelsOf, float64Of, meansOf } from './channels.js';

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
  values: ArrayLike<number>,
  upstream: ArrayLike<number> | undefined,
  extent: Extent,
  { epsilon, ...of }: Normalization,
  throughStatistics: boolean,
): Magnitudes {
  const M = valuesPerChannel(extent);
  const [x, dy] = [float64Of(values), upstream && float64Of(upstream)];
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
    if (dy !== undefined) for (let k = 0; k < x.length; k++) sizes[k] = Math.abs(dy[k]!);
    return sizes;
  });
  const dyMean = once(() => meansOf(size(), extent));
  const dyXHatMean = once(() => {
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
      return y;
    }),
    dx: lazily(() => {
      const [ofDy, ofDyXHat] = throughStatistics ? [dyMean(), dyXHatMean()] : [];
      const [sizes, spreads] = [size(), spread()];
      const dx = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) {
        const c = channel[k]!;
        const through = ofDy && ofDyXHat ? ofDy[c]! + spreads[k]! * ofDyXHat[c]! : 0;
        dx[k] = Math.abs(gamma[c]!) * invStd[c]! * (sizes[k]! + through);
      }
      return dx;
    }),
    dgamma: lazily(() => dyXHatMean().map((value) => M * value)),
    dbeta: lazily(() => dyMean().map((value) => M * value)),
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
