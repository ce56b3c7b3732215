// Sums of gradients, and which channels the dtype could not add up: their gradient is computed in float64.
import type { GradientSums } from '@batchnorm/core-api';

export class Sums implements GradientSums {
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
  readonly #wide: Int32Array;

  constructor(dgamma: Float64Array, dbeta: Float64Array, wide: Int32Array) {
    this.dgamma = dgamma;
    this.dbeta = dbeta;
    this.#wide = wide;
  }

  copy(): Sums {
    return new Sums(this.dgamma.slice(), this.dbeta.slice(), this.#wide.slice());
  }

  /** The flags of `sums`; undefined where others made them, of several batches perhaps. */
  static wideOf(sums: GradientSums): Int32Array | undefined {
    return #wide in sums ? sums.#wide : undefined;
  }
}
