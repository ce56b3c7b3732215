// Numbers near the ends of float32, in arrays on the host: right results, or a refusal that has written nothing.
import { BatchNorm } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { describeHere } from './here.js';

await describeHere(() => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await createWebGpuBackend();
  });
  afterAll(() => backend.dispose());

  const shape = [16, 3];
  const x = { data: Float32Array.from({ length: 48 }, (_, k) => Math.sin(k)), shape };
  /** Eighths: a power of two away they are float32 numbers, subnormal ones too. */
  const eighths = Float32Array.from({ length: 48 }, (_, k) => ((k * 7) % 16) / 8 - 0.5);

  describe.each([-140, -120, 100, 122])('gradients of a dy times 2^%d', (exponent) => {
    it.each([
      ['training', { training: true }, {}],
      ['inference', { training: false }, {}],
      ['ReLU and a residual', { training: true }, { activation: 'relu' }],
    ] as const)('are those of dy times that: %s', async (_what, options, layerOptions) => {
      const layer = new BatchNorm({ backend, numFeatures: 3, ...layerOptions });
      await layer.forward(x, { ...options, residual: x });
      const want = await layer.backward({ data: eighths, shape });
      const got = await layer.backward({ data: eighths.map((value) => value * 2 ** exponent), shape });
      const smallest = 2 ** -149;
      for (const name of ['dx', 'dresidual'] as const) {
        for (const [k, value] of (want[name]!.data as Float32Array).entries()) {
          const expected = Math.fround(value * 2 ** exponent);
          expect(Math.abs(got[name]!.data[k]! - expected), `${name}[${k}]`).toBeLessThanOrEqual(
            smallest + 2 ** -22 * Math.abs(expected),
          );
        }
      }
      for (const name of ['dgamma', 'dbeta'] as const) {
        want[name].forEach((value, c) => {
          expect(Math.abs(got[name][c]! / 2 ** exponent - value)).toBeLessThan(1e-5);
        });
      }
      await layer.dispose();
    });
  });

  it.each([
    ['squares beyond float32', (k: number) => (k % 2 === 0 ? 1e25 : -1e25), 1e-5],
    ['deviations whose squares it takes for 0', (k: number) => (k % 2 === 0 ? 1e-30 : 2e-30), 0],
  ])('a batch with %s is refused, and out stays as it was', async (_what, value, epsilon) => {
    const layer = new BatchNorm({ backend, numFeatures: 3, epsilon, trackRunningStatistics: false });
    const out = { data: new Float32Array(48).fill(7), shape };
    const data = Float32Array.from({ length: 48 }, (_, k) => value(Math.floor(k / 3)));
    await expectCode('NON_FINITE_STATISTICS', () => layer.forward({ data, shape }, { out }));
    expect(out.data).toEqual(new Float32Array(48).fill(7));
    await layer.dispose();
  });

  it('statistics and parameters that float32 cannot hold together are refused', async () => {
    const layer = new BatchNorm({ backend, numFeatures: 3 });
    layer.gamma = [1, 1e35, 1];
    await expectCode('NON_FINITE_STATISTICS', () => layer.forward(x), /channel 1/);
    layer.gamma = [1, 1, 1];
    layer.runningVariance = [1, 1, 1e-40];
    layer.gamma = [1, 1, 1e32];
    await expectCode('NON_FINITE_STATISTICS', () => layer.forward(x, { training: false }), /channel 2/);
    await layer.dispose();
  });

  it.each([
    ['a gamma', [1, 1e35, 1], [0, 0, 0]],
    ['a beta', [1, 1, 1], [0, 1e35, 0]],
  ])(
    'on the device, where nobody waits, %s that is too large makes y NaN in its channel, and settle() says so',
    async (_what, gamma, beta) => {
      const layer = new BatchNorm({ backend, numFeatures: 3 });
      [layer.gamma, layer.beta] = [gamma, beta];
      const onDevice = await backend.upload(x);
      const y = (await (await layer.forward(onDevice)).read()) as Float32Array;
      expect(Array.from(y, (value) => Number.isNaN(value))).toEqual(Array.from(y, (_, k) => k % 3 === 1));
      const { dx } = await layer.backward(onDevice);
      const lost = Array.from((await dx.read()) as Float32Array, (value) => Number.isNaN(value));
      expect(lost).toEqual(lost.map((_, k) => k % 3 === 1 && gamma[1] !== 1));
      await expectCode('NON_FINITE_STATISTICS', () => layer.settle(), /channel 1/);
      await layer.dispose();
      onDevice.dispose();
    },
  );

  it('on the device small deviations without an epsilon make y NaN, and never what a constant channel has', async () => {
    const layer = new BatchNorm({ backend, numFeatures: 3, epsilon: 0 });
    const data = Float32Array.from({ length: 48 }, (_, k) => (k % 2 === 0 ? 1e-30 : 2e-30));
    const onDevice = await backend.upload({ data, shape });
    const y = (await (await layer.forward(onDevice)).read()) as Float32Array;
    expect(y.every((value) => Number.isNaN(value))).toBe(true);
    await expectCode('NON_FINITE_STATISTICS', () => layer.settle());
    await layer.dispose();
    onDevice.dispose();
  });
});
