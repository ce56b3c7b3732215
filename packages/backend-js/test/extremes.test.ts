// Values at the ends of what float32 holds: inside everything is float64, so that results are right wherever they can be written.
import { allocate, BatchNorm, type Dtype, type Extent } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';
import { reference } from './reference.js';

/** One channel of M values; the others are the same. */
interface Extreme {
  readonly M: number;
  readonly x: (j: number) => number;
  readonly dy: (j: number) => number;
  readonly gamma?: number;
  readonly beta?: number;
  readonly epsilon?: number;
  /** Inference with these. Absent: training. */
  readonly running?: { readonly mean: number; readonly variance: number };
  /** The first y and dx, worked out by hand. */
  readonly first: { readonly y: number; readonly dx: number };
}

const sign = (j: number) => (j % 2 === 0 ? 1 : -1);

const extremes: Record<string, Extreme> = {
  'gamma 3e38 on a constant channel': {
    M: 64,
    x: () => 5,
    dy: (j) => sign(j) / 1024,
    gamma: 3e38,
    beta: 7,
    epsilon: 1,
    first: { y: 7, dx: 3e38 / 1024 },
  },
  'epsilon 1e-80 beside deviations of 1e-25': {
    M: 64,
    x: (j) => sign(j) * 1e-25,
    dy: (j) => (j < 2 ? 1e-6 : 0),
    epsilon: 1e-80,
    first: { y: 1, dx: 1e19 - 1e19 / 32 },
  },
  'epsilon 1e-80 on a constant channel': {
    M: 64,
    x: () => 5,
    dy: (j) => sign(j) * 1e-10,
    beta: 7,
    epsilon: 1e-80,
    first: { y: 7, dx: 1e30 },
  },
  'epsilon 0 on a constant channel': {
    M: 64,
    x: () => 5,
    dy: (j) => j,
    gamma: 3,
    beta: 7,
    epsilon: 0,
    first: { y: 7, dx: 0 },
  },
  'epsilon 0 beside the smallest deviations': {
    M: 64,
    x: (j) => sign(j) * 2 ** -149,
    dy: (j) => (j < 2 ? 2 ** -149 : 0),
    epsilon: 0,
    first: { y: 1, dx: 1 - 1 / 32 },
  },
  'epsilon 0 in inference': {
    M: 16,
    x: () => 102,
    dy: () => 6,
    epsilon: 0,
    running: { mean: 2, variance: 9 },
    first: { y: 100 / 3, dx: 2 },
  },
  'a running mean beyond float32': {
    M: 16,
    x: () => 1e38,
    dy: () => 3e38,
    running: { mean: 1e39, variance: 1e78 },
    first: { y: -0.9, dx: 0.3 },
  },
  'gradients that add up beyond float32': {
    M: 128,
    x: (j) => sign(j),
    dy: () => 1e38,
    first: { y: 1 / Math.sqrt(1 + 1e-5), dx: 0 },
  },
  'squares beyond float32': {
    M: 100,
    x: (j) => sign(j) * 1e19,
    dy: (j) => (j < 2 ? 1e19 : 0),
    first: { y: 1, dx: 0.98 },
  },
  'squares far beyond float32': {
    M: 64,
    x: (j) => sign(j) * 1e20,
    dy: (j) => (j === 0 ? 1e20 : 0),
    first: { y: 1, dx: 1 - 2 / 64 },
  },
  'the largest numbers beside the smallest': {
    M: 64,
    x: (j) => (j === 0 ? 3e38 : 2 ** -149),
    dy: () => 2 ** -149,
    first: { y: Math.sqrt(63), dx: 0 },
  },
};

const C = 3;
const layouts = (M: number): Extent[] => [
  { outer: M, channels: C, inner: 1 },
  { outer: 2, channels: C, inner: M / 2 },
];

describe.each<Dtype>(['float32', 'float64'])('%s', (dtype) => {
  for (const [name, extreme] of Object.entries(extremes)) {
    it.each(layouts(extreme.M))(`${name} (%o)`, async (extent) => {
      const { gamma = 1, beta = 0, epsilon = 1e-5, running, first } = extreme;
      const { outer, inner } = extent;
      const fill = (value: (j: number) => number) =>
        allocate(dtype, outer * C * inner).map((_: number, k: number) => {
          return value(Math.floor(k / (C * inner)) * inner + (k % inner));
        });
      const [x, dy] = [fill(extreme.x), fill(extreme.dy)];
      const shape = [outer, C, inner];
      const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: C, dtype, epsilon });
      layer.gamma.fill(gamma);
      layer.beta.fill(beta);
      if (running !== undefined) {
        layer.runningMean.fill(running.mean);
        layer.runningVariance.fill(running.variance);
      }
      const y = await layer.forward({ data: x, shape }, { training: running === undefined });
      const { dx, dgamma, dbeta } = await layer.backward({ data: dy, shape });

      const [mean, variance] = [layer.runningMean, layer.runningVariance];
      const problem = { extent, x, dy, gamma: layer.gamma, beta: layer.beta, epsilon };
      const want = reference(problem, running && { mean, variance });
      // Errors are relative to the terms that results are made of.
      const size = Math.max(...dy.map(Math.abs));
      const scale = Math.max(...want.scale);
      const sizeOfSums = extreme.M * size * (1 + Math.max(...want.xHat.map(Math.abs)));
      const roundoff = dtype === 'float32' ? 2 ** -23 : 2 ** -46;
      expectWithin(roundoff * Math.max(...want.y.map(Math.abs)), y.data, want.y);
      expectWithin(roundoff * 8 * scale * size, dx.data, want.dx);
      expectWithin(2 ** -46 * sizeOfSums, dgamma, want.dgamma);
      expectWithin(2 ** -46 * sizeOfSums, dbeta, want.dbeta);
      expectWithin(roundoff * 8 * Math.abs(first.y), y.data.subarray(0, 1), [first.y]);
      expectWithin(roundoff * 8 * scale * size, dx.data.subarray(0, 1), [first.dx]);
    });
  }
});

function expectWithin(tolerance: number, received: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(received).toHaveLength(expected.length);
  for (let k = 0; k < expected.length; k++) {
    // Not `>`: NaN is wrong, too.
    if (!(Math.abs(received[k]! - expected[k]!) <= tolerance)) {
      expect.fail(`[${k}]: ${received[k]} is not within ${tolerance} of ${expected[k]}`);
    }
  }
}
