// What a forward in host memory keeps for its backward.
import type { Saved, Statistics } from './backend.js';
import type { FloatArray } from './tensor.js';

const nothing = new Float32Array(0);

/** x by reference; the rest are copies, [C] each, so that parameters and running statistics may change. */
export class SavedForward implements Saved, Statistics {
  x: FloatArray = nothing;
  readonly mean: Float64Array;
  /** Population variance. */
  readonly variance: Float64Array;
  /** 1 / √(variance + epsilon), or 0 where that is 1 / 0: then x − mean is 0, too. */
  readonly invStd: Float64Array;
  /** gamma · invStd */
  readonly scale: Float64Array;
  readonly #recycle: (saved: SavedForward) => void;

  constructor(channels: number, recycle: (saved: SavedForward) => void) {
    this.mean = new Float64Array(channels);
    this.variance = new Float64Array(channels);
    this.invStd = new Float64Array(channels);
    this.scale = new Float64Array(channels);
    this.#recycle = recycle;
  }

  /** Takes x and what follows from gamma and epsilon; mean and variance are there already. */
  keep(x: FloatArray, gamma: Float64Array, epsilon: number): void {
    const { variance, invStd, scale } = this;
    this.x = x;
    for (let c = 0; c < scale.length; c++) {
      const square = variance[c]! + epsilon;
      const r = square === 0 ? 0 : 1 / Math.sqrt(square);
      invStd[c] = r;
      scale[c] = gamma[c]! * r;
    }
  }

  dispose(): void {
    this.x = nothing;
    this.#recycle(this);
  }
}
