// One channel computed on the host, in float64: for finite inputs and results whose intermediate numbers are beyond
// float32.
import { type Extent, valuesPerChannel } from '@batchnorm/core-api';
import type { Normalizer } from './range.js';

export class Float64Channel {
  readonly #extent: Extent;
  readonly #channel: number;

  constructor(extent: Extent, channel: number) {
    this.#extent = extent;
    this.#channel = channel;
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
    const pivot = x[this.#channel * this.#extent.inner]!;
    const mean = pivot + this.#sum((k) => x[k]! - pivot) / valuesPerChannel(this.#extent);
    return { mean, m2: this.#sum((k) => (x[k]! - mean) ** 2) };
  }

  /** y = gamma · xHat + beta */
  normalize(x: Float32Array, by: Normalizer, y: Float32Array): void {
    const [gamma, beta] = [by.gamma[this.#channel]!, by.beta[this.#channel]!];
    const xHat = this.#xHat(x, by);
    this.#each((k) => {
      y[k] = gamma * xHat(k) + beta;
    });
  }

  /** dbeta = Σ dy, dgamma = Σ dy · xHat. */
  gradientSums(x: Float32Array, by: Normalizer, dy: Float32Array): { dgamma: number; dbeta: number } {
    const xHat = this.#xHat(x, by);
    return { dgamma: this.#sum((k) => dy[k]! * xHat(k)), dbeta: this.#sum((k) => dy[k]!) };
  }

  /**
   * dx = gamma · invStd · (dy − dbeta/M − xHat · dgamma/M), with the means of dy and dy · xHat over the M values that
   * were normalised together. For constant statistics pass means of 0.
   */
  inputGradient(
    x: Float32Array,
    by: Normalizer,
    dy: Float32Array,
    { ofDy, ofProduct }: { readonly ofDy: number; readonly ofProduct: number },
    dx: Float32Array,
  ): void {
    const [gamma, invStd] = [by.gamma[this.#channel]!, by.invStd[this.#channel]!];
    const xHat = this.#xHat(x, by);
    this.#each((k) => {
      dx[k] = gamma * ((dy[k]! - ofDy - xHat(k) * ofProduct) * invStd);
    });
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
    for (let o = 0; o < outer; o++) {
      const begin = (o * channels + this.#channel) * inner;
      for (let i = 0; i < inner; i++) visit(begin + i);
    }
  }
}
