// float32 as accurate as the design promises, in every mode and at every size.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { describe, expect, it } from 'vitest';
import { describeModes, modesHere } from './modes.js';

await describeModes(modesHere, (mode, create) => {
  async function trained(shape: readonly number[], mean = 0) {
    const backend = await create();
    const batch = batchOf(shape, { mean });
    const layer = new BatchNorm({ backend, numFeatures: shape[1]!, momentum: 0 });
    const y = await layer.forward(batch.x);
    const gradients = await layer.backward(batch.dy);
    await layer.dispose();
    await backend.dispose();
    return { layer, y, ...gradients, exact: exactOf(batch) };
  }

  it('sums are compensated: the shader compiler has left TwoSum alone', async () => {
    const backend = await create();
    expect(backend.execution.accumulation).toEqual({ float32: 'compensated-float32' });
    await backend.dispose();
    // 16,384 values: plain float32 sums would lose several of these units.
    const { dbeta, exact } = await trained([16384, 3]);
    for (let c = 0; c < 3; c++) {
      expect(Math.abs(dbeta[c]! - exact.dbeta[c]!)).toBeLessThanOrEqual(2 ** -24 * 2 ** -3 * exact.size[c]!);
    }
  });

  describe('y and dx are within 1e-6 of float64, and running statistics within some float32 roundoffs,', () => {
    for (const mean of [0, 1e2, 1e4, 1e6]) {
      for (const shape of [
        [1000, 7],
        [9, 5, 10, 20],
        [33, 33],
        [2, 3],
        [1, 4, 600],
      ]) {
        it(`at mean ${mean} and deviation 1, of [${shape}]`, async () => {
          const { layer, y, dx, exact } = await trained(shape, mean);
          expect(largestError(y.data, exact.y)).toBeLessThan(1e-6);
          expect(largestError(dx.data, exact.dx)).toBeLessThan(1e-6 * steepest(exact));
          expect(largestError(layer.runningMean, exact.mean)).toBeLessThan(2 ** -22);
          expect(largestError(layer.runningVariance, exact.variance)).toBeLessThan(2 ** -20);
        });
      }
    }
  });

  describe('sizes around the limits of textures are as accurate:', () => {
    const sizes = [8191, 8192, 8193];
    for (const shape of sizes.flatMap((size) => [
      [size, 3],
      [3, size],
      [2, 3, size],
    ])) {
      it(`[${shape}]`, async () => {
        const { y, dx, dgamma, exact } = await trained(shape);
        expect(largestError(y.data, exact.y)).toBeLessThan(1e-6);
        expect(largestError(dx.data, exact.dx)).toBeLessThan(1e-6 * steepest(exact));
        expect(largestError(dgamma, exact.dgamma)).toBeLessThan(1e-6 * Math.max(...exact.size));
      });
    }
  });

  it.skipIf(mode === 'cpu')('16 M elements, the most there may be, are as accurate', async () => {
    const backend = await create();
    const batch = batchOf([16384, 1024]);
    const layer = new BatchNorm({ backend, numFeatures: 1024, momentum: 0 });
    const y = await layer.forward(batch.x);
    const { mean, variance } = columnsOf(batch.x.data as Float32Array, 1024);
    for (let k = 0; k < y.data.length; k += 997) {
      const c = k % 1024;
      expect(Math.abs(y.data[k]! - (batch.x.data[k]! - mean[c]!) / Math.sqrt(variance[c]! + 1e-5))).toBeLessThan(1e-6);
    }
    await layer.dispose();
    await backend.dispose();
  });
});

/** The largest factor between dy and dx: channels of few values may hardly vary. */
function steepest({ invStd }: { readonly invStd: Float64Array }): number {
  return Math.max(1, ...invStd);
}

function columnsOf(x: Float32Array, C: number) {
  const N = x.length / C;
  const [mean, variance] = [new Float64Array(C), new Float64Array(C)];
  for (let k = 0; k < x.length; k++) mean[k % C]! += x[k]! / N;
  for (let k = 0; k < x.length; k++) variance[k % C]! += (x[k]! - mean[k % C]!) ** 2 / N;
  return { mean, variance };
}
