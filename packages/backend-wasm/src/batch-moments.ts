// The moments of a batch on the host: those that kernels left in tables, and those that come from others.
import {
  assertFiniteMoments,
  type CountedPositions,
  type Extent,
  type FloatArray,
  type HostMemory,
  type Moments,
  type MomentsInput,
} from '@batchnorm/core-api';
import { assertInRange, batchVariance } from './in-range.js';
import type { SavedForward } from './saved-forward.js';

/** Of the latest batch: new vectors for each would take as long as the kernels of a small one. */
export class BatchMoments implements Moments {
  count = 0;
  readonly mean: Float64Array;
  readonly m2: Float64Array;
  readonly #extent: Extent;

  constructor(extent: Extent) {
    this.mean = new Float64Array(extent.channels);
    this.m2 = new Float64Array(extent.channels);
    this.#extent = extent;
  }

  /**
   * Those of x in `tables`. Errors: `NON_FINITE_STATISTICS` for what is not finite, or only where it comes of a finite x.
   */
  checked(tables: SavedForward, x: FloatArray, mask: CountedPositions | undefined, requireFinite: boolean): this {
    this.count = tables.M;
    this.mean.set(tables.mean);
    this.m2.set(tables.m2);
    if (requireFinite) assertFiniteMoments(this);
    else assertInRange({ mean: this.mean, variance: tables.variance }, [x], this.#extent, { mask });
    return this;
  }
}

/**
 * Has `saved` normalise x by moments in which other batches may have a part. Errors: `NON_FINITE_STATISTICS` where x is
 * finite, and these are not because of it.
 */
export function useMoments(
  saved: SavedForward,
  batch: Moments,
  { x, mask, epsilon }: MomentsInput<HostMemory>,
  extent: Extent,
): void {
  const { mean } = batch;
  const variance = batchVariance(batch, epsilon, () => x, extent, mask);
  // NaN in merged moments is of values elsewhere, and spreads.
  const here = (values: Float64Array) => values.map((value, c) => (Number.isNaN(batch.m2[c]) ? 0 : value));
  assertInRange({ mean: here(mean), variance: here(variance) }, [x], extent, { mask });
  saved.M = batch.count;
  saved.mean = mean;
  saved.variance = variance;
}
