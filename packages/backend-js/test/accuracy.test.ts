// How accurate: the promises of docs/numerics.md that are tighter than the conformance bound.
import { builtInFixtures, runConformance, seededBatch } from '@batchnorm/conformance';
import { BatchNorm, type Dtype, type Extent, type FloatArray } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';
import { reference } from './reference.js';

const backend = createJsBackend();

it('float64 is within 1e-12 of every golden result, relative to its terms', async () => {
  const results = await runConformance(backend, { dtypes: ['float64'], fixtures: await builtInFixtures() });
  expect(results.length).toBeGreaterThan(10);
  for (const { name, status, ulps } of results) {
    expect({ name, status }).toEqual({ name, status: 'passed' });
    expect(ulps * 2 ** -52, name).toBeLessThan(1e-12);
  }
});

async function trainOnce(extent: Extent, dtype: Dtype, mean: number) {
  const problem = seededBatch(extent, { dtype, mean, seed: extent.outer + extent.inner });
  const layer = new BatchNorm({ backend, numFeatures: extent.channels, dtype, momentum: 0 });
  layer.gamma.set(problem.gamma);
  layer.beta.set(problem.beta);
  const shape = [extent.outer, extent.channels, extent.inner];
  const y = await layer.forward({ data: problem.x, shape });
  const gradients = await layer.backward({ data: problem.dy, shape });
  return { problem, layer, y, gradients };
}

const shapes: Extent[] = [
  { outer: 1000, channels: 7, inner: 1 },
  { outer: 33, channels: 33, inner: 1 },
  { outer: 9, channels: 5, inner: 200 },
  { outer: 400, channels: 3, inner: 3 },
];

describe('float32 output', () => {
  for (const mean of [0, 1e2, 1e4, 1e6]) {
    for (const extent of shapes) {
      it(`is within 1e-6·max(1, |gamma|) at mean ${mean} and deviation 1 (${Object.values(extent)})`, async () => {
        const { problem, y } = await trainOnce(extent, 'float32', mean);
        const exact = reference(problem);
        for (const [k, want] of exact.y.entries()) {
          const gamma = problem.gamma[Math.floor(k / extent.inner) % extent.channels]!;
          expect(Math.abs(y.data[k]! - want)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(gamma)));
        }
      });
    }
  }
});

describe('batch statistics', () => {
  it('are accurate to 1e-12 though the first row is a far outlier', async () => {
    for (const extent of shapes) {
      const problem = seededBatch(extent, { seed: 5 });
      for (let k = 0; k < extent.channels * extent.inner; k += extent.inner) problem.x[k] = 1e6;
      const { mean, variance } = await statisticsOf(problem.x, extent);
      const exact = reference(problem);
      for (let c = 0; c < extent.channels; c++) {
        expect(Math.abs(mean[c]! / exact.mean[c]! - 1)).toBeLessThan(1e-12);
        expect(Math.abs(variance[c]! / exact.variance[c]! - 1)).toBeLessThan(1e-12);
      }
    }
  });

  it('do not drift with the number of blocks: the rounding of each merged mean is carried on', async () => {
    const extent = { outer: 65536, channels: 3, inner: 1 };
    const problem = seededBatch(extent, { seed: 7, mean: 1e6 });
    const { variance } = await statisticsOf(problem.x, extent);
    const exact = reference(problem);
    for (let c = 0; c < 3; c++) expect(Math.abs(variance[c]! / exact.variance[c]! - 1)).toBeLessThan(2e-14);
  });

  it('of a constant channel have variance 0 exactly, whatever the constant', async () => {
    for (const extent of shapes) {
      for (const constant of [0, 0.1, -1e30, 1e-30, 12345.678]) {
        const x = new Float64Array(extent.outer * extent.channels * extent.inner).fill(constant);
        const { mean, variance } = await statisticsOf(x, extent);
        expect(mean).toEqual(new Float64Array(extent.channels).fill(constant));
        expect(variance).toEqual(new Float64Array(extent.channels));
      }
    }
  });

  async function statisticsOf(x: FloatArray, { outer, channels, inner }: Extent) {
    const layer = new BatchNorm({ backend, numFeatures: channels, dtype: 'float64', momentum: 0 });
    await layer.forward({ data: x, shape: [outer, channels, inner] });
    return { mean: layer.runningMean, variance: layer.runningVariance };
  }
});

describe('a channel that is not finite', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    it(`with ${value} leaves the others alone`, async () => {
      for (const extent of shapes) {
        const { x, dy, gamma } = seededBatch(extent, { dtype: 'float32' });
        const shape = [extent.outer, extent.channels, extent.inner];
        const layer = new BatchNorm({ backend, numFeatures: extent.channels, trackRunningStatistics: false });
        layer.gamma.set(gamma);
        const clean = { y: await layer.forward({ data: x, shape }), ...(await layer.backward({ data: dy, shape })) };
        const poisoned = x.slice();
        poisoned[extent.inner] = value;
        const y = await layer.forward({ data: poisoned, shape });
        const { dx, dgamma, dbeta } = await layer.backward({ data: dy, shape });
        expect(dbeta).toEqual(clean.dbeta);
        for (let k = 0; k < x.length; k++) {
          const isPoisoned = Math.floor(k / extent.inner) % extent.channels === 1;
          if (isPoisoned) expect(y.data[k]).toBeNaN();
          else expect([y.data[k], dx.data[k]]).toEqual([clean.y.data[k], clean.dx.data[k]]);
        }
        for (let c = 0; c < extent.channels; c++) if (c !== 1) expect(dgamma[c]).toBe(clean.dgamma[c]);
        expect(dgamma[1]).toBeNaN();
      }
    });
  }
});
