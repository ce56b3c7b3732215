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

  /** Batch mean and population variance, around the channel's first value as the pivot. */
  statistics(x: Float32Array): { readonly mean: number; readonly variance: number } {
    const pivot = x[this.#channel * this.#extent.inner]!;
    const mean = pivot + this.#mean((k) => x[k]! - pivot);
    return { mean, variance: this.#mean((k) => (x[k]! - mean) ** 2) };
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
  parameterGradients(x: Float32Array, by: Normalizer, dy: Float32Array): { dgamma: number; dbeta: number } {
    const M = valuesPerChannel(this.#extent);
    const xHat = this.#xHat(x, by);
    return { dgamma: M * this.#mean((k) => dy[k]! * xHat(k)), dbeta: M * this.#mean((k) => dy[k]!) };
  }

  /** dx = gamma · invStd · (dy − dbeta/M − xHat · dgamma/M). For constant statistics pass dgamma = dbeta = 0. */
  inputGradient(
    x: Float32Array,
    by: Normalizer,
    dy: Float32Array,
    { dgamma, dbeta }: { readonly dgamma: number; readonly dbeta: number },
    dx: Float32Array,
  ): void {
    const [gamma, invStd] = [by.gamma[this.#channel]!, by.invStd[this.#channel]!];
    const M = valuesPerChannel(this.#extent);
    const xHat = this.#xHat(x, by);
    this.#each((k) => {
      dx[k] = gamma * ((dy[k]! - dbeta / M - xHat(k) * (dgamma / M)) * invStd);
    });
  }

  #xHat(x: Float32Array, by: Normalizer): (k: number) => number {
    const [mean, invStd] = [by.mean[this.#channel]!, by.invStd[this.#channel]!];
    return (k) => (x[k]! - mean) * invStd;
  }

  /** (Σ term)/M over the channel's elements. */
  #mean(term: (k: number) => number): number {
    let sum = 0;
    this.#each((k) => {
      sum += term(k);
    });
    return sum / valuesPerChannel(this.#extent);
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
