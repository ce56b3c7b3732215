// How near results come: large means, many shapes and sizes, and pivots that are far from the mean.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { describeHere } from './here.js';

/** Both arrangements, vectors of four and single numbers, few and many rows, columns and blocks. */
const shapes = [
  [2, 1],
  [31, 1],
  [4096, 1],
  [65_537, 1],
  [5, 3],
  [64, 4],
  [1000, 7],
  [3, 1027],
  [8193, 12],
  [2, 65_536],
  [70_000, 2],
  [3, 5, 1],
  [3, 5, 2],
  [7, 3, 49],
  [16, 8, 14, 14],
  [3, 65_537, 2],
  [2, 3, 100_001],
  [70_000, 2, 4],
];

await describeHere(() => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await createWebGpuBackend();
  });
  afterAll(() => backend.dispose());

  describe.each([0, 1e2, 1e6])('at mean %d and deviation 1', (mean) => {
    it.each(shapes.map((shape) => ({ shape })))('$shape is within 1e-6', async ({ shape }) => {
      const batch = batchOf(shape, { mean, seed: shape.length + shape[0]! });
      const layer = new BatchNorm({ backend, numFeatures: shape[1]! });
      const [x, dy] = [await backend.upload(batch.x), await backend.upload(batch.dy)];
      const y = await layer.forward(x);
      const { dx, dgamma, dbeta } = await layer.backward(dy);
      const exact = exactOf(batch);
      expect(largestError((await y.read()) as Float32Array, exact.y)).toBeLessThan(1e-6);
      const steepest = exact.invStd.reduce((a, b) => Math.max(a, b));
      expect(largestError((await dx.read()) as Float32Array, exact.dx)).toBeLessThan(1e-6 * steepest);
      const [ofGamma, ofBeta] = [await dgamma.read(), await dbeta.read()];
      const ofSize = (values: ArrayLike<number>, want: ArrayLike<number>) =>
        exact.size.reduce((worst, size, c) => Math.max(worst, Math.abs(values[c]! - want[c]!) / size), 0);
      expect(ofSize(ofBeta, exact.dbeta)).toBeLessThan(3 * 2 ** -24);
      expect(ofSize(ofGamma, exact.dgamma)).toBeLessThan(2 ** -20);
      await layer.dispose();
      for (const one of [x, dy, y, dx, dgamma, dbeta]) one.dispose();
    });
  });

  it('more workgroups than one dimension has are all run', async () => {
    const C = 64 * 65_535 + 65;
    const value = (c: number) => (c % 7) - 3;
    const data = Float32Array.from({ length: 2 * C }, (_, k) => (k < C ? value(k) : -value(k - C)));
    const layer = new BatchNorm({ backend, numFeatures: C, trackRunningStatistics: false });
    const x = await backend.upload({ data, shape: [2, C] });
    const y = await layer.forward(x);
    const elements = (await y.read()) as Float32Array;
    const errors = elements.map((got, k) => Math.abs(got - data[k]! / Math.sqrt(data[k]! ** 2 + 1e-5)));
    expect(errors.reduce((a, b) => Math.max(a, b))).toBeLessThan(1e-6);
    await layer.dispose();
    for (const one of [x, y]) one.dispose();
  });

  it('a pivot that is thirty deviations from the mean is replaced: outliers wherever it is sampled', async () => {
    const [M, C] = [20_000, 4];
    const sampled = new Set(Array.from({ length: 20 }, (_, k) => Math.floor(((k + 1) * M) / 21)));
    const [usual, outlier] = [Math.fround(0.1), Math.fround(12_345.678)];
    // All deviations but those are alike, and so are their roundings.
    const data = Float32Array.from({ length: M * C }, (_, k) => (sampled.has(Math.floor(k / C)) ? outlier : usual));
    const layer = new BatchNorm({ backend, numFeatures: C });
    await layer.forward({ data, shape: [M, C] });
    const part = sampled.size / M;
    const variance = (outlier - usual) ** 2 * part * (1 - part);
    for (const got of (await layer.state()).runningVariance) {
      expect(Math.abs(((got - 0.9) * 10) / variance - 1)).toBeLessThan(2e-6);
    }
    await layer.dispose();
  });

  it.each([
    ['a jump in the middle', (k: number) => (k < 500 ? -1000 : 1000)],
    ['a drift', (k: number) => k],
  ])('%s cost no digit', async (_what, offset) => {
    const batch = batchOf([1000, 5], { seed: 9 });
    for (let k = 0; k < 5000; k++) batch.x.data[k]! += offset(Math.floor(k / 5));
    const layer = new BatchNorm({ backend, numFeatures: 5 });
    await layer.forward(batch.x);
    const exact = exactOf(batch);
    const { runningMean, runningVariance } = await layer.state();
    runningMean.forEach((mean, c) => {
      expect(Math.abs(mean * 10 - exact.mean[c]!) / Math.sqrt(exact.variance[c]!)).toBeLessThan(5e-7);
      expect(Math.abs(((runningVariance[c]! - 0.9) * 10) / exact.variance[c]! - 1)).toBeLessThan(2e-6);
    });
    await layer.dispose();
  });
});
