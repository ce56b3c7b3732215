// The numbers of a setting: one seeded batch, the same in every process that asks for it.
import { type Extent, elementsFrom, extentOf, type FloatArray, product, type Statistics } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { Setting } from './case.js';

export const epsilon = 1e-5;

export interface Workload extends Setting {
  /** Channels on axis 1. */
  readonly extent: Extent;
  /** float32 numbers, also in an array of float64; as float16 has them in one of its bits. */
  readonly x: FloatArray;
  readonly dy: FloatArray;
  /** Of x's shape; made when it is asked for. About half of BN(x) + residual is below 0. */
  readonly residual: () => FloatArray;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  /** The running statistics that inference normalises with. */
  readonly running: Statistics;
}

export function workloadOf({ shape, dtype }: Setting): Workload {
  const size = product(shape);
  const generator = mersenne(size);
  const uniform = (low: number, high: number) => low + (high - low) * uniformFloat64(generator);
  const extent = extentOf(shape, 1);
  const activations = (low = -1, high = 3) => {
    const numbers = new Float32Array(size);
    for (let k = 0; k < size; k++) numbers[k] = uniform(low, high);
    return elementsFrom(dtype, numbers);
  };
  const vector = (low: number, high: number) =>
    Float64Array.from({ length: extent.channels }, () => Math.fround(uniform(low, high)));
  let residual: FloatArray | undefined;
  return {
    shape,
    dtype,
    extent,
    x: activations(),
    dy: activations(),
    gamma: vector(0.5, 2),
    beta: vector(0.5, 2),
    residual: () => {
      residual ??= activations(-3.25, 0.75);
      return residual;
    },
    running: { mean: vector(0.5, 1.5), variance: vector(1, 2) },
  };
}

/** What an operation computed: of these, what it has. Read from the device for verification only, never while timed. */
export interface Results {
  readonly y?: ArrayLike<number>;
  readonly dx?: ArrayLike<number>;
  readonly dresidual?: ArrayLike<number>;
  readonly dgamma?: ArrayLike<number>;
  readonly dbeta?: ArrayLike<number>;
}
