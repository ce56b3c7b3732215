// One channel computed on the host, in float64: for finite inputs and results whose intermediate numbers are beyond
// float32.
import { type CountedPositions, type Extent, type Nonlinearity, valuesPerChannel } from '@batchnorm/core-api';
import type { Normalizer } from '@batchnorm/core-api/float32-range';
import { firstCounted } from './device-mask.js';

/** What z is made of. */
export interface Summands<Activation> {
  readonly x: Activation;
  readonly residual: Activation | undefined;
}

/** The means of g and g · xHat. */
export interface GradientMeans {
  readonly ofG: number;
  readonly ofProduct: number;
}

export class Float64Channel {
  readonly #extent: Extent;
  readonly #channel: number;
  readonly #mask: CountedPositions | undefined;

  /** With a mask, the channel has no elements but those that count. */
  constructor(extent: Extent, channel: number, mask?: CountedPositions) {
    this.#extent = extent;
    this.#channel = channel;
    this.#mask = mask;
  }

  /** The largest |x|; NaN if an element is NaN. */
  largest(x: Float32Array): number {
    let largest = 0;
    this.#each((k) => {
      largest = Math.max(largest, Math.abs(x[k]!));
    });
    return largest;
  }

  /** mean and m2 = Σ (x − mean)², around the channel's first value as the pivot. */
  moments(x: Float32Array): { readonly mean: number; readonly m2: number } {
    const [extent, mask] = [this.#extent, this.#mask];
    const pivot = x[(mask ? firstCounted(mask, extent) : 0) + this.#channel * extent.inner]!;
    const mean = pivot + this.#sum((k) => x[k]! - pivot) / (mask?.count ?? valuesPerChannel(extent));
    return { mean, m2: this.#sum((k) => (x[k]! - mean) ** 2) };
  }

  /** y = z; behind 'relu' 0 where z ≤ 0. */
  normalize(summands: Summands<Float32Array>, by: Normalizer, activation: Nonlinearity, y: Float32Array): void {
    const z = this.#z(summands, by);
    this.#each((k) => {
      const value = z(k);
      y[k] = activation === 'relu' && value <= 0 ? 0 : value;
    });
  }

  /** g = dy behind 'relu': 0 where z ≤ 0. */
  upstream(summands: Summands<Float32Array>, by: Normalizer, dy: Float32Array, g: Float32Array): void {
    const z = this.#z(summands, by);
    this.#each((k) => {
      g[k] = z(k) <= 0 ? 0 : dy[k]!;
    });
  }

  /** dbeta = Σ g, dgamma = Σ g · xHat. */
  gradientSums(x: Float32Array, by: Normalizer, g: Float32Array): { dgamma: number; dbeta: number } {
    const xHat = this.#xHat(x, by);
    return { dgamma: this.#sum((k) => g[k]! * xHat(k)), dbeta: this.#sum((k) => g[k]!) };
  }

  /**
   * dx = gamma · invStd · (g − dbeta/M − xHat · dgamma/M), with the means of g and g · xHat over the M values that were
   * normalised together.
   */
  inputGradient(
    x: Float32Array,
    by: Normalizer,
    g: Float32Array,
    { ofG, ofProduct }: GradientMeans,
    dx: Float32Array,
  ): void {
    const [gamma, invStd] = [by.gamma[this.#channel]!, by.invStd[this.#channel]!];
    const xHat = this.#xHat(x, by);
    this.#each((k) => {
      dx[k] = gamma * ((g[k]! - ofG - xHat(k) * ofProduct) * invStd);
    });
  }

  /** dx = gamma · invStd · g, with constant statistics, and for values that did not count. */
  scaledGradient(by: Normalizer, g: Float32Array, dx: Float32Array): void {
    const [gamma, invStd] = [by.gamma[this.#channel]!, by.invStd[this.#channel]!];
    this.#each((k) => {
      dx[k] = gamma * (g[k]! * invStd);
    });
  }

  /** z = gamma · xHat + beta + residual, rounded as y is: a positive z may be too small for a y that is not 0. */
  #z({ x, residual }: Summands<Float32Array>, by: Normalizer): (k: number) => number {
    const [gamma, beta] = [by.gamma[this.#channel]!, by.beta[this.#channel]!];
    const xHat = this.#xHat(x, by);
    return (k) => Math.fround(gamma * xHat(k) + beta + (residual ? residual[k]! : 0));
  }

  #xHat(x: Float32Array, by: Normalizer): (k: number) => number {
    const [mean, invStd] = [by.mean[this.#channel]!, by.invStd[this.#channel]!];
    return (k) => (x[k]! - mean) * invStd;
  }

  /** Σ term over the channel's elements. */
  #sum(term: (k: number) => number): number {
    let sum = 0;
    this.#each((k) => {
      sum += term(k);
    });
    return sum;
  }

  /** Visits the index of every element of the channel. */
  #each(visit: (k: number) => void): void {
    const { outer, channels, inner } = this.#extent;
    const positions = this.#mask?.positions;
    for (let o = 0; o < outer; o++) {
      const begin = (o * channels + this.#channel) * inner;
      for (let i = 0; i < inner; i++) if (positions?.[o * inner + i] !== 0) visit(begin + i);
    }
  }
}
