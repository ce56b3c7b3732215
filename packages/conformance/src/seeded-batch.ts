// Seeded activations of any extent, for tests of a backend's own.
import { type Dtype, type Extent, elementsFrom, type FloatArray } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

/** A batch, its gradient and parameters: x and dy of the extent, gamma and beta [C]. */
export interface SeededBatch {
  readonly extent: Extent;
  readonly epsilon: number;
  readonly x: FloatArray;
  readonly dy: FloatArray;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

/** The dtype of a batch, and the distribution that it is drawn from. */
export interface SeededBatchOptions {
  readonly dtype?: Dtype;
  readonly seed?: number;
  readonly mean?: number;
  readonly deviation?: number;
}

/** Normal-ish values around `mean`; parameters of either sign. */
export function seededBatch(
  extent: Extent,
  { dtype = 'float64', seed = 1, mean = 0, deviation = 1 }: SeededBatchOptions = {},
): SeededBatch {
  const generator = mersenne(seed);
  const random = () => uniformFloat64(generator);
  const bell = () => random() + random() + random() + random() - 2;
  const { outer, channels, inner } = extent;
  const activations = (make: () => number) => {
    const values = Float64Array.from({ length: outer * channels * inner }, make);
    return elementsFrom(dtype, values);
  };
  return {
    extent,
    epsilon: 1e-5,
    x: activations(() => mean + deviation * bell() * Math.sqrt(3)),
    dy: activations(bell),
    gamma: Float64Array.from({ length: channels }, () => 2 * bell()),
    beta: Float64Array.from({ length: channels }, bell),
  };
}
