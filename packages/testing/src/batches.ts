// Seeded batches of float32, and what batch norm makes of them in float64.
import { type Extent, extentOf, type Tensor, valuesPerChannel } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

export interface Batch {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly extent: Extent;
}

export function batchOf(
  shape: readonly number[],
  { seed = 1, mean = 0 }: { readonly seed?: number; readonly mean?: number } = {},
): Batch {
  const generator = mersenne(seed);
  const uniform = () => uniformFloat64(generator);
  const length = shape.reduce((a, b) => a * b, 1);
  const deviation = Math.sqrt(12);
  return {
    x: { shape, data: Float32Array.from({ length }, () => mean + deviation * (uniform() - 0.5)) },
    dy: { shape, data: Float32Array.from({ length }, () => uniform() - 0.25) },
    extent: extentOf(shape, 1),
  };
}

/** What batch norm makes of a batch: [C] each, but for y and dx, which are as long as x. */
export interface Exact {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  readonly invStd: Float64Array;
  /** Σ |dy| */
  readonly size: Float64Array;
}

/** Training forward and backward with gamma = 1 and beta = 0, by the formulas, in float64 around a pivot. */
export function exactOf({ x: { data: x }, dy: { data: dy }, extent }: Batch, epsilon = 1e-5): Exact {
  const { channels: C, inner } = extent;
  const M = valuesPerChannel(extent);
  const channelOf = (k: number) => Math.floor(k / inner) % C;
  const vector = () => new Float64Array(C);
  const [offset, variance, dbeta, dgamma, size] = [vector(), vector(), vector(), vector(), vector()];
  const pivot = Float64Array.from({ length: C }, (_, c) => x[c * inner]!);
  const each = (visit: (k: number, c: number) => void) => {
    for (let k = 0; k < x.length; k++) visit(k, channelOf(k));
  };
  each((k, c) => {
    offset[c]! += (x[k]! - pivot[c]!) / M;
  });
  const centred = (k: number, c: number) => x[k]! - pivot[c]! - offset[c]!;
  each((k, c) => {
    variance[c]! += centred(k, c) ** 2 / M;
  });
  const invStd = variance.map((value) => 1 / Math.sqrt(value + epsilon));
  const xHat = (k: number, c: number) => centred(k, c) * invStd[c]!;
  each((k, c) => {
    dbeta[c]! += dy[k]!;
    dgamma[c]! += dy[k]! * xHat(k, c);
    size[c]! += Math.abs(dy[k]!);
  });
  const [y, dx] = [new Float64Array(x.length), new Float64Array(x.length)];
  each((k, c) => {
    y[k] = xHat(k, c);
    dx[k] = invStd[c]! * (dy[k]! - dbeta[c]! / M - xHat(k, c) * (dgamma[c]! / M));
  });
  return { y, dx, dgamma, dbeta, variance, invStd, mean: offset.map((value, c) => pivot[c]! + value), size };
}

/** The largest |received − expected|. */
export function largestError(received: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = received.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (let k = 0; k < expected.length; k++) {
    const error = Math.abs(received[k]! - expected[k]!);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}
