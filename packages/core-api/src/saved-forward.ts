// The saved forward of host kernels: what a forward on host arrays keeps for its backward.
import type { HostMemory, NormalizeInput, Saved } from './backend.js';
import type { CountedPositions } from './counted-positions.js';
import type { FloatArray } from './tensor.js';

const noElements = new Float32Array(0);

/**
 * x, residual and mask by reference; copies, [C] each, of all else, so that parameters and running statistics may change.
 */
export class SavedForward implements Saved {
  x: FloatArray = noElements;
  residual: FloatArray | undefined;
  /** Which values had a part in the statistics; undefined: all. */
  mask: CountedPositions | undefined;
  /** How many values of a channel were normalised together; NaN where statistics were given. */
  M: number = Number.NaN;
  readonly mean: Float64Array;
  /** 1 / √(variance + epsilon); 0 where variance and epsilon are 0, and so is every x − mean. */
  readonly invStd: Float64Array;
  /** gamma · invStd */
  readonly scale: Float64Array;
  readonly beta: Float64Array;
  readonly #recycle: (saved: SavedForward) => void;

  constructor(channels: number, recycle: (saved: SavedForward) => void) {
    this.mean = new Float64Array(channels);
    this.invStd = new Float64Array(channels);
    this.scale = new Float64Array(channels);
    this.beta = new Float64Array(channels);
    this.#recycle = recycle;
  }

  /** Keeps x and the statistics that normalise it, and computes invStd and scale. */
  keep({ x, residual, mask, gamma, beta, epsilon, by: { batch, given } }: NormalizeInput<HostMemory>): void {
    const { mean, invStd, scale } = this;
    this.x = x;
    this.residual = residual;
    this.mask = mask;
    this.beta.set(beta);
    this.M = batch ? batch.count : Number.NaN;
    const { mean: from } = batch ?? given;
    for (let c = 0; c < scale.length; c++) {
      mean[c] = from[c]!;
      const square = (batch ? batch.m2[c]! / batch.count : given.variance[c]!) + epsilon;
      const r = square === 0 ? 0 : 1 / Math.sqrt(square);
      invStd[c] = r;
      scale[c] = gamma[c]! * r;
    }
  }

  /** Lets go of the arrays of others, and hands itself to those who reuse it. */
  dispose(): void {
    this.x = noElements;
    this.residual = undefined;
    this.mask = undefined;
    this.#recycle(this);
  }
}
