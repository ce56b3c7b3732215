// The passes over an activation, block by block: what is added up for each channel, and what is written.
import type {
  CountedPositions,
  Extent,
  FloatArray,
  Forward,
  GradientSums,
  HostPasses,
  Plan,
} from '@batchnorm/core-api';
import { type Block, blocksOf } from './blocks.js';
import * as float32 from './loops.float32.js';
import * as float64 from './loops.float64.js';

/** The functions of both modules, which differ only in the kind of array that V8 sees in them. */
type Loops = { [Name in keyof typeof float32]: (...args: Widened<Parameters<(typeof float32)[Name]>>) => void };
type Widened<Args extends unknown[]> = { [I in keyof Args]: Args[I] extends Float32Array ? FloatArray : Args[I] };

/** The passes for one plan. */
export class Passes implements HostPasses {
  readonly #extent: Extent;
  readonly #blocks: readonly Block[];
  readonly #loops: Loops;
  /** Scratch memory of a pass, [C] each. */
  readonly #sum: Float64Array;
  readonly #product: Float64Array;

  constructor({ extent, dtype }: Plan) {
    this.#extent = extent;
    this.#blocks = blocksOf(extent);
    this.#loops = (dtype === 'float32' ? float32 : float64) as unknown as Loops;
    this.#sum = new Float64Array(extent.channels);
    this.#product = new Float64Array(extent.channels);
  }

  /**
   * Mean and m2, the sum of squared deviations from it. Of each block, deviations d
   * from the pivot p are added up, which is the mean of all blocks before it; then the block is merged into them by
   * Chan's formula (Chan, Golub and LeVeque, 1983, The American Statistician 37). If n of the N elements so far are in
   * the block, its own m2 is Σd² − (Σd)²/n, and the merge adds (Σd/n)² · n(N − n)/N. Together that is Σd² − (Σd)²/N.
   *
   * p is a rounded mean: over the N − n elements before the block, Σd is not 0 but r, and Σd² is their m2 + r²/(N − n).
   * The sums of the block therefore begin with r and r²/(N − n), as if those elements had been added up around p, too.
   */
  moments(x: FloatArray, _mask: CountedPositions | undefined, mean: Float64Array, m2: Float64Array): void {
    const { channels, inner } = this.#extent;
    const [sum, squares] = [this.#sum.fill(0), this.#product.fill(0)];
    for (let c = 0; c < channels; c++) mean[c] = x[c * inner]!;
    m2.fill(0);
    for (const block of this.#blocks) {
      this.#loops.moments(x, mean, sum, squares, channels, inner, block);
      const N = block.seen + block.length * block.count;
      for (let c = 0; c < channels; c++) {
        const [p, s] = [mean[c]!, sum[c]!];
        const shift = s / N;
        mean[c] = p + shift;
        m2[c]! += squares[c]! - s * shift;
        const r = s - N * (mean[c]! - p);
        sum[c] = r;
        squares[c] = r * (r / N);
      }
    }
  }

  /** y = (x − mean) · scale + beta */
  normalize({ x, mean, scale, beta }: Forward, y: FloatArray): void {
    const { channels, inner } = this.#extent;
    for (const block of this.#blocks) this.#loops.normalize(x, mean, scale, beta, y, channels, inner, block);
  }

  /** dgamma = Σ dy · xHat, dbeta = Σ dy */
  gradientSums({ x, mean, invStd }: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array): void {
    const { channels, inner } = this.#extent;
    dgamma.fill(0);
    dbeta.fill(0);
    for (const block of this.#blocks) this.#loops.gradientSums(x, mean, dy, dbeta, dgamma, channels, inner, block);
    for (let c = 0; c < channels; c++) dgamma[c]! *= invStd[c]!;
  }

  /** dx = scale · (dy − dbeta/M − xHat · dgamma/M) */
  inputGradient(
    { x, M, mean, invStd, scale }: Forward,
    dy: FloatArray,
    total: GradientSums | null,
    dx: FloatArray,
  ): void {
    const { channels, inner } = this.#extent;
    const [dyMean, slope] = [this.#sum, this.#product];
    for (let c = 0; c < channels; c++) {
      dyMean[c] = total ? total.dbeta[c]! / M : 0;
      slope[c] = total ? (invStd[c]! * total.dgamma[c]!) / M : 0;
    }
    for (const block of this.#blocks) {
      this.#loops.inputGradient(x, mean, dy, scale, dyMean, slope, dx, channels, inner, block);
    }
  }
}
