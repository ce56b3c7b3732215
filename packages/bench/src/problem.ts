// What is computed while the clock runs: one batch of a shape, with buffers for every result.
import { type Extent, extentOf, product } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

export const epsilon = 1e-5;

export interface Problem {
  /** Channels on axis 1. */
  readonly shape: readonly number[];
  readonly extent: Extent;
  readonly x: Float32Array;
  readonly dy: Float32Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

export function problemOf(shape: readonly number[]): Problem {
  const generator = mersenne(product(shape));
  const uniform = (low: number, high: number) => low + (high - low) * uniformFloat64(generator);
  const extent = extentOf(shape, 1);
  const activations = () => Float32Array.from({ length: product(shape) }, () => uniform(-1, 3));
  const parameters = () => Float64Array.from({ length: extent.channels }, () => uniform(0.5, 2));
  return { shape, extent, x: activations(), dy: activations(), gamma: parameters(), beta: parameters() };
}

/** Where an implementation puts its results. */
export interface Results {
  readonly y: Float32Array;
  readonly dx: Float32Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

export function resultsFor({ x, gamma }: Problem): Results {
  return {
    y: new Float32Array(x.length),
    dx: new Float32Array(x.length),
    dgamma: new Float64Array(gamma.length),
    dbeta: new Float64Array(gamma.length),
  };
}
