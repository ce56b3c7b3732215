// A backend in host memory at the ends of float64: right, or refused, and nothing has changed.
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  type BatchNormOptions,
  type FloatArray,
  type HostPasses,
  hostBackend,
  type Tensor,
} from '../src/index.js';
import { expectError } from './inputs.js';

const sum = (values: FloatArray, term: (value: number, k: number) => number) =>
  Array.from(values, term).reduce((total, value) => total + value, 0);

/** The formulas as they stand, of one channel. */
const passes: HostPasses = {
  moments(x, _mask, mean, m2) {
    mean[0] = sum(x, (value) => value / x.length);
    m2[0] = sum(x, (value) => (value - mean[0]!) ** 2);
  },
  normalize({ x, mean, scale, beta }, y) {
    x.forEach((value, k) => {
      y[k] = (value - mean[0]!) * scale[0]! + beta[0]!;
    });
  },
  gradientSums({ x, mean, invStd }, dy, dgamma, dbeta) {
    dgamma[0] = sum(dy, (value, k) => value * (x[k]! - mean[0]!) * invStd[0]!);
    dbeta[0] = sum(dy, (value) => value);
  },
  inputGradient(_forward, dy, _total, dx) {
    dx.set(dy);
  },
};
const backend = hostBackend({ name: 'plain', passesFor: () => passes });

describe('numbers at the ends of float64', () => {
  const host = (options: Partial<BatchNormOptions> = {}) =>
    new BatchNorm({ backend: backend, numFeatures: 1, dtype: 'float64', ...options });
  const column = (...values: number[]): Tensor => ({ data: Float64Array.from(values), shape: [values.length, 1] });

  it.each([1e200, 1e-163, 1e-200])('whose squares are none are refused, tracked or not: ±%s', async (size) => {
    for (const options of [{}, { trackRunningStatistics: false }]) {
      const layer = host({ epsilon: 0, ...options });
      await expectError('NON_FINITE_STATISTICS', () => layer.forward(column(size, -size, size)), /channel 0/);
      expect((await layer.forward(column(3, 3, 3))).data).toEqual(new Float64Array(3));
    }
  });

  it('whose scale is none are refused, in training and in inference', async () => {
    const layer = host({ epsilon: 1e-300 });
    layer.gamma = [1e300];
    layer.runningVariance = [0];
    for (const training of [true, false]) {
      await expectError('NON_FINITE_STATISTICS', () => layer.forward(column(3, 3), { training }), /gamma 1e\+300/);
    }
  });

  it('whose scale has no digits left are refused, but not a gamma that has few', async () => {
    const layer = host({ epsilon: 0 });
    layer.gamma = [1e-200];
    await expectError('NON_FINITE_STATISTICS', () => layer.forward(column(1e126, 2e126, 4e126)), /gamma 1e-200/);
    layer.gamma = [1e-310];
    expect((await layer.forward(column(1, -1))).data).toEqual(Float64Array.of(1e-310, -1e-310));
    layer.gamma = [0];
    expect((await layer.forward(column(1e126, 2e126))).data).toEqual(new Float64Array(2));
  });

  it.each([
    ['beyond float64', [1e-131, 2e-131, 4e-131], [1e200, -1e200, 0], 0],
    ['without digits', [1e100, 2e100, 4e100], [1e-230, 0, 0], 1e100],
  ])('whose gradient through x is %s are refused, and nothing is written', async (_name, x, dy, gamma) => {
    const layer = host({ epsilon: 0, trackRunningStatistics: false });
    layer.gamma = [gamma];
    await layer.forward(column(...x));
    const dgamma = Float64Array.of(7);
    await expectError('NON_FINITE_STATISTICS', () => layer.backward(column(...dy), { out: { dgamma } }), /dgamma/);
    expect(dgamma).toEqual(Float64Array.of(7));
  });

  it('whose gradient does not go through x is not asked for a slope', async () => {
    const layer = host({ epsilon: 0 });
    layer.gamma = [0];
    layer.runningVariance = [1e-262];
    await layer.forward(column(1e-131, 2e-131, 4e-131), { training: false });
    expect((await layer.backward(column(1e200, -1e200, 0))).dbeta).toEqual(Float64Array.of(0));
  });

  it('whose sums of gradients are none are refused, and leave what was given as it was', async () => {
    const layer = host();
    await layer.forward(column(1, 2, 4, 5));
    const out = { dx: column(7, 7, 7, 7), dgamma: Float64Array.of(7), dbeta: Float64Array.of(7) };
    const before = structuredClone(out);
    await expectError('NON_FINITE_STATISTICS', () => layer.backward(column(1e308, 1e308, 1e308, 1e308), { out }));
    expect(out).toEqual(before);
  });

  it('in gamma do not matter to moments', async () => {
    const layer = host();
    layer.gamma = [1e308];
    const x = column(1, 1 + 2 ** -10);
    await expectError('NON_FINITE_STATISTICS', () => layer.forward(x, { track: false }), /gamma/);
    expect((await layer.moments(x)).mean).toEqual(Float64Array.of(1 + 2 ** -11));
  });

  it.each([
    ['underflow', 1e-200, 0],
    ['overflow', 1e200, Number.POSITIVE_INFINITY],
  ])('whose merged squares %s are refused, though each part is constant', async (_, size, m2) => {
    const kernels = await backend.prepare({ extent: { outer: 2, channels: 1, inner: 1 }, dtype: 'float64' });
    const vectors = { gamma: Float64Array.of(1), beta: Float64Array.of(7), epsilon: 0 };
    const y = Float64Array.of(5, 5);
    const normalize = async (value: number, mean: number) =>
      kernels.normalize({
        ...vectors,
        x: Float64Array.of(value, value),
        y,
        by: { batch: { count: 4, mean: Float64Array.of(mean), m2: Float64Array.of(m2) } },
      });
    await expectError('NON_FINITE_STATISTICS', () => normalize(0, size / 2), /channel 0/);
    expect(y).toEqual(Float64Array.of(5, 5));
    if (m2 === 0) expect((await normalize(size, size)).y).toEqual(Float64Array.of(7, 7));
  });

  it('are looked for where a mask says that they count', async () => {
    const layer = host({ trackRunningStatistics: false });
    const x = column(Number.NaN, 1e200, -1e200);
    const mask = (...data: number[]) => ({ data: Uint8Array.from(data), shape: [3] });
    await expectError('NON_FINITE_STATISTICS', () => layer.forward(x, { mask: mask(0, 1, 1) }), /finite values/);
    expect((await layer.forward(x, { mask: mask(1, 1, 0) })).data).toEqual(new Float64Array(3).fill(Number.NaN));
    const last = column(1e200, -1e200, Number.NaN);
    await expectError('NON_FINITE_STATISTICS', () => layer.forward(last, { mask: mask(1, 1, 0) }), /finite values/);
  });

  it.each([
    ['NaN', Number.NaN],
    ['infinite', Number.POSITIVE_INFINITY],
  ])('are not asked where merged moments are %s because of others: that spreads', async (_, mean) => {
    const kernels = await backend.prepare({ extent: { outer: 2, channels: 1, inner: 1 }, dtype: 'float64' });
    const batch = { count: 4, mean: Float64Array.of(mean), m2: Float64Array.of(Number.NaN) };
    const vectors = { gamma: Float64Array.of(1), beta: Float64Array.of(7), epsilon: 0, y: undefined };
    const { y, saved } = await kernels.normalize({ ...vectors, x: Float64Array.of(1, 2), by: { batch } });
    expect(y).toEqual(Float64Array.of(Number.NaN, Number.NaN));
    const dy = Float64Array.of(1, 2);
    const sums = await kernels.gradientSums({ saved, dy });
    const none = { dx: undefined, dgamma: undefined, dbeta: undefined };
    const { dbeta } = await kernels.inputGradient({ saved, dy, ...none, sums, total: sums });
    expect(dbeta).toEqual(Float64Array.of(3));
  });

  it('that no average holds leave the running statistics as they were', async () => {
    const layer = host({ momentum: 'exact', epsilon: 1e300 });
    await layer.forward(column(1e153, 1e153));
    layer.runningMean = [1e300];
    const before = await layer.state();
    await expectError('NON_FINITE_STATISTICS', () => layer.forward(column(3, 4)), /variance of channel 0/);
    expect(await layer.state()).toEqual(before);
  });
});
