// The passes over an activation, block by block: what is added up for each channel, and what is written.
import {
  allocate,
  type CountedPositions,
  type Dtype,
  type Extent,
  type FloatArray,
  type Forward,
  float16Numbers,
  type GradientSums,
  type HostPasses,
  type Plan,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type Block, blocksOf, mostRowsOf } from './blocks.js';
import * as gatedFloat16 from './gated.float16.js';
import * as gatedFloat32 from './gated.float32.js';
import * as gatedFloat64 from './gated.float64.js';
import * as loopsFloat16 from './loops.float16.js';
import * as loopsFloat32 from './loops.float32.js';
import * as loopsFloat64 from './loops.float64.js';
import * as reluFloat16 from './relu.float16.js';
import * as reluFloat32 from './relu.float32.js';
import * as reluFloat64 from './relu.float64.js';

/** The functions of all modules, which differ in the kind of array that V8 sees in them. */
type Loops<Module> = {
  [Name in keyof Module]: Module[Name] extends (...args: infer Args) => void ? (...args: Widened<Args>) => void : never;
};
type Widened<Args extends unknown[]> = { [I in keyof Args]: Args[I] extends Float32Array ? FloatArray : Args[I] };

const loopsOf = { float16: loopsFloat16, float32: loopsFloat32, float64: loopsFloat64 } as unknown as Record<
  Dtype,
  Loops<typeof loopsFloat32>
>;
const gatedOf = { float16: gatedFloat16, float32: gatedFloat32, float64: gatedFloat64 } as unknown as Record<
  Dtype,
  Loops<typeof gatedFloat32>
>;
const reluOf = { float16: reluFloat16, float32: reluFloat32, float64: reluFloat64 } as unknown as Record<
  Dtype,
  Loops<typeof reluFloat32>
>;

/** z of at most this are 0 when they are stored, which is what ReLU goes by: half of the smallest number, or 0. */
const largestZero = { float16: 2 ** -25, float32: 2 ** -150, float64: 0 } as const;

/** Stands for what is not there. */
const none = new Uint8Array(1);

/** The passes for one plan. */
export class Passes implements HostPasses {
  readonly #extent: Extent;
  readonly #dtype: Dtype;
  readonly #hasRelu: boolean;
  readonly #blocks: readonly Block[];
  readonly #loops: Loops<typeof loopsFloat32>;
  readonly #gated: Loops<typeof gatedFloat32>;
  readonly #relu: Loops<typeof reluFloat32>;
  /** Scratch memory of a pass, [C] each. */
  readonly #sum: Float64Array;
  readonly #product: Float64Array;
  readonly #zeros: Float64Array;
  /** Of a masked block: the elements of channel 0 that count, and all channels of these as rows. */
  readonly #places: Int32Array;
  #gathered: FloatArray | undefined;
  /** What ReLU left nothing of in each forward. */
  readonly #off = new WeakMap<Forward, Uint8Array>();

  constructor({ extent, dtype, activation }: Plan) {
    const { channels } = extent;
    // All values of the only channel are one run.
    this.#extent = channels === 1 ? { outer: 1, channels, inner: valuesPerChannel(extent) } : extent;
    this.#dtype = dtype;
    this.#hasRelu = activation === 'relu';
    this.#blocks = blocksOf(this.#extent);
    this.#loops = loopsOf[dtype];
    this.#gated = gatedOf[dtype];
    this.#relu = reluOf[dtype];
    this.#sum = new Float64Array(channels);
    this.#product = new Float64Array(channels);
    this.#zeros = new Float64Array(channels);
    this.#places = new Int32Array(mostRowsOf(channels));
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
  moments(x: FloatArray, mask: CountedPositions | undefined, mean: Float64Array, m2: Float64Array): void {
    const { channels, inner } = this.#extent;
    this.#sum.fill(0);
    this.#product.fill(0);
    m2.fill(0);
    if (mask) {
      this.#maskedMoments(x, mask, mean, m2);
      return;
    }
    for (let c = 0; c < channels; c++) mean[c] = numberAt(x, c * inner);
    for (const block of this.#blocks) {
      this.#loops.moments(x, mean, this.#sum, this.#product, channels, inner, block);
      this.#merge(block, mean, m2);
    }
  }

  /** As of a batch that is the counted values alone, as rows of channels: each of its blocks is gathered. */
  #maskedMoments(x: FloatArray, mask: CountedPositions, mean: Float64Array, m2: Float64Array): void {
    const { channels, inner } = this.#extent;
    this.#gathered ??= allocate(this.#dtype, mostRowsOf(channels) * channels);
    const [places, rows] = [this.#places, this.#gathered];
    let position = 0;
    for (const block of blocksOf({ outer: mask.count, channels, inner: 1 })) {
      for (let n = 0; n < block.length; position++) {
        if (mask.positions[position] === 0) continue;
        places[n++] = position + Math.floor(position / inner) * (channels - 1) * inner;
      }
      this.#gated.gather(x, places, block.length, rows, channels, inner);
      if (block.seen === 0) for (let c = 0; c < channels; c++) mean[c] = numberAt(rows, c);
      this.#loops.moments(rows, mean, this.#sum, this.#product, channels, 1, { ...block, first: 0 });
      this.#merge(block, mean, m2);
    }
  }

  /** Merges a block whose sums around `mean` are there, and begins those of the next. */
  #merge({ seen, length, count }: Block, mean: Float64Array, m2: Float64Array): void {
    const [sum, squares] = [this.#sum, this.#product];
    const N = seen + length * count;
    for (let c = 0; c < mean.length; c++) {
      const [p, s] = [mean[c]!, sum[c]!];
      const shift = s / N;
      mean[c] = p + shift;
      m2[c]! += squares[c]! - s * shift;
      const r = s - N * (mean[c]! - p);
      sum[c] = r;
      squares[c] = r * (r / N);
    }
  }

  /** y = z = (x − mean) · scale + beta + residual; behind ReLU 0 where z is no more than `largestZero`. */
  normalize(forward: Forward, y: FloatArray): void {
    const { x, residual, mean, scale, beta } = forward;
    const { channels, inner } = this.#extent;
    const limit = this.#hasRelu ? largestZero[this.#dtype] : Number.NaN;
    const [off, o] = [this.#offOf(forward), this.#hasRelu ? -1 : 0];
    for (const block of this.#blocks) {
      if (residual) {
        this.#gated.normalize(x, mean, scale, beta, residual, limit, off, o, y, channels, inner, block);
      } else if (this.#hasRelu) this.#relu.normalize(x, mean, scale, beta, limit, off, o, y, channels, inner, block);
      else this.#loops.normalize(x, mean, scale, beta, y, channels, inner, block);
    }
  }

  /** dgamma = Σ g · xHat, dbeta = Σ g */
  gradientSums(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array): void {
    const { x, mean, invStd } = forward;
    const { channels, inner } = this.#extent;
    dgamma.fill(0);
    dbeta.fill(0);
    if (this.#hasRelu) {
      const off = this.#offOf(forward);
      for (const block of this.#blocks) {
        this.#gated.gradientSums(x, mean, dy, off, dbeta, dgamma, channels, inner, block);
      }
    } else {
      for (const block of this.#blocks) this.#loops.gradientSums(x, mean, dy, dbeta, dgamma, channels, inner, block);
    }
    for (let c = 0; c < channels; c++) dgamma[c]! *= invStd[c]!;
  }

  /** dx = scale · (g − dbeta/M − xHat · dgamma/M), or scale · g; dresidual = g */
  inputGradient(
    forward: Forward,
    dy: FloatArray,
    total: GradientSums | null,
    dx: FloatArray,
    dresidual: FloatArray | undefined,
  ): void {
    const { x, mask, M, mean, invStd, scale } = forward;
    const { channels, inner } = this.#extent;
    const [dyMean, slope] = [this.#sum, this.#product];
    for (let c = 0; c < channels; c++) {
      dyMean[c] = total ? total.dbeta[c]! / M : 0;
      slope[c] = total ? (invStd[c]! * total.dgamma[c]!) / M : 0;
    }
    const off = this.#offOf(forward);
    // g is stored: where nobody wants dresidual, where dx will be.
    const g = dresidual ?? (this.#hasRelu ? dx : dy);
    if (!this.#hasRelu) dresidual?.set(dy);
    const isPlain = !this.#hasRelu && !dresidual;
    const isFused = this.#hasRelu && inner > 1 && total && !mask;
    // Without `total` no value counts.
    const [counted, n] = total && mask ? [mask.positions, -1] : [none, 0];
    for (const block of this.#blocks) {
      if (isFused) {
        this.#gated.inputGradient(x, mean, dy, off, scale, dyMean, slope, dx, g, channels, inner, block);
        continue;
      }
      if (this.#hasRelu) this.#gated.letThrough(dy, off, g, channels, inner, block);
      if (total && !mask) this.#loops.inputGradient(x, mean, g, scale, dyMean, slope, dx, channels, inner, block);
      else if (isPlain && !total)
        this.#loops.normalize(dy, this.#zeros, scale, this.#zeros, dx, channels, inner, block);
      else {
        this.#gated.maskedInputGradient(x, mean, g, scale, dyMean, slope, counted, n, dx, channels, inner, block);
      }
    }
  }

  /** Of a forward behind ReLU its own, which `normalize` writes; of others the one 0. */
  #offOf(forward: Forward): Uint8Array {
    if (!this.#hasRelu) return none;
    let off = this.#off.get(forward);
    if (!off) {
      off = new Uint8Array(gatedFloat32.bytesOfOff(this.#extent));
      this.#off.set(forward, off);
    }
    return off;
  }
}

function numberAt(elements: FloatArray, k: number): number {
  return elements instanceof Uint16Array ? float16Numbers()[elements[k]!]! : elements[k]!;
}
