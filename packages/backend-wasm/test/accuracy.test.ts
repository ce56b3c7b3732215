// How accurate: the promises of docs/numerics.md that are tighter than the conformance bound, or beside it.
import {
  accumulationOf,
  builtInFixtures,
  oracle,
  RunningErrors,
  runConformance,
  seededBatch,
} from '@batchnorm/conformance';
import { BatchNorm, type Dtype, type Extent, type FloatArray, operationsOf, statisticsOf } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import { afterAll, describe, expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';

const backend = await createWasmBackend({ threads: 2 });
afterAll(() => backend.dispose());

const extents: Extent[] = [
  { outer: 1000, channels: 7, inner: 1 },
  { outer: 700, channels: 100, inner: 1 },
  { outer: 9, channels: 5, inner: 200 },
  { outer: 400, channels: 3, inner: 3 },
];

async function trackedFrom(x: FloatArray, { outer, channels, inner }: Extent, dtype: Dtype) {
  const layer = new BatchNorm({ backend, numFeatures: channels, dtype, momentum: 0 });
  await layer.forward({ data: x, shape: [outer, channels, inner] });
  return { mean: layer.runningMean, variance: layer.runningVariance };
}

it('float64 is within 1e-12 of every golden result, relative to its terms', async () => {
  const results = await runConformance(backend, { dtypes: ['float64'], fixtures: await builtInFixtures() });
  expect(results.length).toBeGreaterThan(10);
  for (const { name, status, ulps } of results) {
    expect({ name, status }).toEqual({ name, status: 'passed' });
    expect(ulps * 2 ** -52, name).toBeLessThan(1e-12);
  }
});

describe('pivots that values conspire against', () => {
  // The worst of 60,000 random batches like these, and those whose every sampled position is the same in a period.
  const conspiracies: [string, Extent, (j: number, noise: number) => number][] = [
    ['every fourth', { outer: 64, channels: 500, inner: 1 }, (j, noise) => 100 * Number(j % 4 === 0) + noise],
    [
      'the sampled ones',
      { outer: 90, channels: 500, inner: 1 },
      (j, noise) => 1e5 * Number(j % 4 === 0 && j < 80) + noise,
    ],
    [
      'the sampled ones of a run',
      { outer: 1, channels: 16, inner: 1000 },
      (j, noise) => 1e5 * Number(j % 47 === 0) + noise,
    ],
    [
      'all but the sampled ones',
      { outer: 504, channels: 16, inner: 1 },
      (j, noise) => 1e6 * Number(j % 24 !== 0) + noise,
    ],
    [
      'one of the sampled ones',
      { outer: 104, channels: 16, inner: 1 },
      (j, noise) => 552_346 * Number(j === 28) + 1 + noise,
    ],
    ['powers of e', { outer: 504, channels: 16, inner: 1 }, (_j, noise) => Math.exp(6 * noise)],
    ['all but the first block', { outer: 4000, channels: 5, inner: 1 }, (j, noise) => 1e4 * Number(j >= 256) + noise],
  ];

  it.each(conspiracies)('stay within the bound: %s', async (_name, extent, value) => {
    const noise = mersenne(5);
    const normal = () => 2 * (uniformFloat64(noise) + uniformFloat64(noise) + uniformFloat64(noise) - 1.5);
    const { outer, channels, inner } = extent;
    const position = (k: number) => Math.floor(k / inner / channels) * inner + (k % inner);
    const x = Float32Array.from({ length: outer * channels * inner }, (_, k) => value(position(k), normal()));
    const kernels = await backend.prepare({ extent, dtype: 'float32' });
    const ones = new Float64Array(channels).fill(1);
    const { moments } = await operationsOf(kernels).forwardTraining({
      ...{ x, y: undefined, gamma: ones, beta: ones, epsilon: 1e-5, requireFinite: true },
    });
    const statistics = statisticsOf(moments);
    const batch = oracle.batchStatistics(x, extent);
    const running = new RunningErrors(channels);
    running.track(batch, {
      accumulation: accumulationOf(backend, 'float32'),
      valuesPerChannel: outer * inner,
      kept: 0,
      runningVariance: 'population',
    });
    for (const name of ['mean', 'variance'] as const) {
      const { tolerance, magnitude } = running[name];
      const error = (got: number, c: number) => Math.abs(got - batch[name][c]!) / (tolerance[c]! * magnitude[c]!);
      expect(Math.max(...statistics[name].map(error)), name).toBeLessThan(0.25);
    }
  });
});

it('float64 sums of many short runs are no longer chains than those of long ones', async () => {
  const shape = [50_000, 3, 2];
  const backward = async (dy: FloatArray) => {
    const layer = new BatchNorm({ backend, numFeatures: 3, dtype: 'float64' });
    await layer.forward({ data: new Float64Array(dy.length), shape });
    return layer.backward({ data: dy, shape });
  };
  // Adding up like terms is rounded for long in the same direction: one chain of so many additions errs by 1e-12.
  const { dbeta } = await backward(new Float64Array(300_000).fill(1 / 3));
  for (const sum of dbeta) expect(Math.abs(sum / (100_000 / 3) - 1)).toBeLessThan(1e-13);
});

describe.each(extents)('of $outer×$channels×$inner', (extent) => {
  const shape = [extent.outer, extent.channels, extent.inner];
  const channelOf = (k: number) => Math.floor(k / extent.inner) % extent.channels;

  it.each([0, 1e2, 1e4, 1e6])('float32 y is within 1e-6·max(1, |gamma|) at mean %d and deviation 1', async (mean) => {
    const { x, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32', mean });
    const layer = new BatchNorm({ backend, numFeatures: extent.channels });
    layer.gamma.set(gamma);
    layer.beta.set(beta);
    const y = await layer.forward({ data: x, shape });
    const exact = oracle.forward({ extent, x, gamma, beta, epsilon });
    const isFar = (want: number, k: number) =>
      !(Math.abs(y.data[k]! - want) <= 1e-6 * Math.max(1, Math.abs(gamma[channelOf(k)]!)));
    expect(exact.findIndex(isFar)).toBe(-1);
  });

  it('float32 statistics keep 1e-7 when values drift, jump, or the pivot is made of an outlier', async () => {
    const M = extent.outer * extent.inner;
    const position = (k: number) => Math.floor(k / extent.inner / extent.channels) * extent.inner + (k % extent.inner);
    const shapes: Record<string, (j: number) => number> = {
      drift: (j) => (1000 * j) / M,
      jump: (j) => (j % Math.floor(M / 16) === 0 ? 1000 : 0),
      outlier: (j) => (j === 0 ? 1e6 : 0),
    };
    const noise = seededBatch(extent, { dtype: 'float32' }).x;
    for (const [name, shift] of Object.entries(shapes)) {
      const x = Float32Array.from(noise, (value, k) => value + shift(position(k)));
      const { mean, variance } = await trackedFrom(x, extent, 'float32');
      const exact = oracle.batchStatistics(x, extent);
      for (let c = 0; c < extent.channels; c++) {
        expect(Math.abs(mean[c]! - exact.mean[c]!) / Math.sqrt(exact.variance[c]!), name).toBeLessThan(1e-7);
        expect(Math.abs(variance[c]! / exact.variance[c]! - 1), name).toBeLessThan(2e-7);
      }
    }
  });

  it('a constant channel has its value as mean, variance 0, and y is beta', async () => {
    for (const dtype of ['float32', 'float64'] as const) {
      for (const constant of [0, 0.1, -1e30, 1e-30, 12345.678]) {
        const { x } = seededBatch(extent, { dtype });
        const data = x.fill(constant);
        const { mean, variance } = await trackedFrom(data, extent, dtype);
        expect(mean).toEqual(new Float64Array(extent.channels).fill(data[0]!));
        expect(variance).toEqual(new Float64Array(extent.channels));
      }
    }
  });
});
