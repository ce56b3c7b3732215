// What this backend adds to the layer's refusals, and its promises about buffers.

import { seededBatch } from '@batchnorm/conformance';
import { BatchNorm, type Kernels, operationsOf, type Saved } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';

const extents = [
  { outer: 40, channels: 9, inner: 1 },
  { outer: 4, channels: 9, inner: 20 },
];
const shapeOf = ({ outer, channels, inner }: (typeof extents)[number]) => [outer, channels, inner];

describe('NON_FINITE_STATISTICS', () => {
  it.each(extents)('leaves out, running statistics and the saved forward untouched (%o)', async (extent) => {
    const { x, dy } = seededBatch(extent, { dtype: 'float32' });
    const shape = shapeOf(extent);
    const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: extent.channels });
    await layer.forward({ data: x, shape });
    const gradients = await layer.backward({ data: dy, shape });
    const state = await layer.state();
    // Only the last channel is bad: all the others could have been written already.
    const bad = x.slice();
    bad[bad.length - 1] = Number.NaN;
    const out = { data: new Float32Array(x.length).fill(7), shape };
    await expectCode('NON_FINITE_STATISTICS', () => layer.forward({ data: bad, shape }, { out }));
    expect(out.data).toEqual(new Float32Array(x.length).fill(7));
    expect(await layer.state()).toEqual(state);
    expect(await layer.backward({ data: dy, shape })).toEqual(gradients);
  });
});

describe('finite values whose squares are beyond float64', () => {
  const tooLarge: [name: string, values: (j: number) => number][] = [
    ['1e160 in turn with −1e160', (j) => (j % 2 === 0 ? 1e160 : -1e160)],
    ['the largest number in turn with its negative', (j) => (j % 2 === 0 ? 1 : -1) * Number.MAX_VALUE],
    ['3e153 in turn with −3e153: sums of squares', (j) => (j % 2 === 0 ? 3e153 : -3e153)],
    ['one of 1e200', (j) => (j === 30 ? 1e200 : 1)],
  ];
  for (const extent of extents) {
    it.each(tooLarge)(`are refused, tracked or not: %s (${shapeOf(extent)})`, async (_name, values) => {
      const { x } = seededBatch(extent);
      const shape = shapeOf(extent);
      for (let j = 0; j < extent.outer * extent.inner; j++) {
        x[(Math.floor(j / extent.inner) * extent.channels + 5) * extent.inner + (j % extent.inner)] = values(j);
      }
      for (const trackRunningStatistics of [true, false]) {
        for (const training of trackRunningStatistics ? [true] : [true, false]) {
          const options = { numFeatures: extent.channels, dtype: 'float64', trackRunningStatistics } as const;
          const layer = new BatchNorm({ backend: createJsBackend(), ...options });
          const out = { data: new Float64Array(x.length).fill(7), shape };
          await expectCode('NON_FINITE_STATISTICS', () => layer.forward({ data: x, shape }, { training, out }));
          expect(out.data).toEqual(new Float64Array(x.length).fill(7));
        }
      }
      // Beside a channel that is not finite they still are; and that alone is not refused.
      const layer = new BatchNorm({
        backend: createJsBackend(),
        numFeatures: extent.channels,
        dtype: 'float64',
        trackRunningStatistics: false,
      });
      x[0] = Number.POSITIVE_INFINITY;
      await expectCode('NON_FINITE_STATISTICS', () => layer.forward({ data: x, shape }));
      x[5 * extent.inner] = Number.NaN;
      expect((await layer.forward({ data: x, shape })).data[0]).toBeNaN();
    });
  }

  it('are right up to there', async () => {
    const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: 1, dtype: 'float64' });
    const data = Float64Array.from({ length: 64 }, (_, j) => (j % 2 === 0 ? 1e153 : -1e153));
    const y = await layer.forward({ data, shape: [64, 1] });
    expect(y.data).toEqual(data.map(Math.sign));
  });
});

describe('a disposed backend', () => {
  it('answers every call with DISPOSED, and a second dispose() with nothing', async () => {
    const backend = createJsBackend();
    const x = { data: new Float32Array(6), shape: [2, 3] };
    const layer = new BatchNorm({ backend, numFeatures: 3 });
    await layer.forward(x);
    await backend.dispose();
    await backend.dispose();
    await expectCode('DISPOSED', () => layer.forward(x));
    await expectCode('DISPOSED', () => layer.backward(x));
    await expectCode('DISPOSED', () => layer.forward({ data: new Float32Array(9), shape: [3, 3] }));
    await expectCode('DISPOSED', () => backend.upload(x));
    await layer.dispose();
  });
});

it('upload() is UNSUPPORTED, as the capabilities say', async () => {
  const backend = createJsBackend();
  expect(backend.capabilities.deviceTensors).toBe(false);
  await expectCode('UNSUPPORTED', () => backend.upload({ data: new Float32Array(6), shape: [2, 3] }));
});

describe('inputs', () => {
  it.each(extents)('are never written, nor is memory around the buffers (%o)', async (extent) => {
    const { x, dy } = seededBatch(extent, { dtype: 'float32' });
    const guard = 16;
    const arena = new Float32Array(4 * (x.length + guard) + guard).fill(7);
    const place = (slot: number, values?: ArrayLike<number>) => {
      const start = guard + slot * (x.length + guard);
      const data = arena.subarray(start, start + x.length);
      if (values) data.set(values);
      return { data, shape: shapeOf(extent) };
    };
    const [input, out, upstream, dx] = [place(0, x), place(1), place(2, dy), place(3)];
    const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: extent.channels });
    for (const training of [true, false]) {
      await layer.forward(input, { training, out });
      await layer.backward(upstream, { out: { dx } });
    }
    expect(input.data).toEqual(x);
    expect(upstream.data).toEqual(dy);
    for (let slot = 0; slot <= 4; slot++) {
      const start = slot * (x.length + guard);
      expect(arena.subarray(start, start + guard)).toEqual(new Float32Array(guard).fill(7));
    }
  });
});

it('two layers on one backend do not disturb each other, and the same input gives the same bits', async () => {
  const backend = createJsBackend();
  const [extent] = extents as [(typeof extents)[number], ...unknown[]];
  const [a, b] = [seededBatch(extent, { dtype: 'float32' }), seededBatch(extent, { dtype: 'float32', seed: 2 })];
  const shape = shapeOf(extent);
  const alone = new BatchNorm({ backend, numFeatures: extent.channels });
  const want = { y: await alone.forward({ data: a.x, shape }), gradients: await alone.backward({ data: a.dy, shape }) };

  const [first, second] = [0, 1].map(() => new BatchNorm({ backend, numFeatures: extent.channels })) as [
    BatchNorm,
    BatchNorm,
  ];
  const y = await first.forward({ data: a.x, shape });
  await second.forward({ data: b.x, shape });
  const gradients = await first.backward({ data: a.dy, shape });
  await second.backward({ data: b.dy, shape });
  expect({ y, gradients }).toEqual(want);
});

describe('a training loop with buffers of its own', () => {
  it.each(extents)('alternates between two saved forwards, and allocates no more (%o)', (extent) => {
    const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32' });
    const operations = operationsOf(createJsBackend().prepare({ extent, dtype: 'float32' }) as Kernels);
    const [y, dx] = [new Float32Array(x.length), new Float32Array(x.length)];
    const [dgamma, dbeta] = [new Float64Array(extent.channels), new Float64Array(extent.channels)];
    const [made, found] = [new Set<object>(), new Set<object>()];
    let latest: Saved | undefined;
    for (let step = 0; step < 100; step++) {
      const forward = operations.forwardTraining({ x, y, gamma, beta, epsilon, requireFinite: true });
      if ('then' in forward) throw new Error('kernels of this backend are synchronous');
      latest?.dispose();
      latest = forward.saved;
      const backward = operations.backwardTraining({ saved: latest, dy, dx, dgamma, dbeta, parameterGradients: true });
      expect({ ...forward, ...backward }).toMatchObject({ y, dx, dgamma, dbeta });
      made.add(forward.saved);
      found.add(forward.moments);
    }
    expect([made.size, found.size]).toEqual([2, 1]);
  });
});

it('products of x and dy that are too small are multiplied first, beside those that are not', async () => {
  const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: 2, dtype: 'float64', epsilon: 0 });
  const of = (...small: number[]) => ({
    data: Float64Array.from(small.flatMap((value, k) => [value, k])),
    shape: [small.length, 2],
  });
  await layer.forward(of(1e-140, -1e-140, 2e-140, 0.5e-140));
  const { dx, dgamma, dbeta } = await layer.backward(of(1e-200, 2e-200, -1e-200, 3e-200));
  const usual = new BatchNorm({ backend: createJsBackend(), numFeatures: 2, dtype: 'float64', epsilon: 0 });
  await usual.forward(of(1, -1, 2, 0.5));
  const want = await usual.backward(of(1, 2, -1, 3));
  const [relative, C] = [1e-13, 2];
  for (const [got, expected, scale] of [
    [dgamma, want.dgamma, 1e-200],
    [dbeta, want.dbeta, 1e-200],
    [dx.data, want.dx.data, 1e-60],
  ] as const) {
    got.forEach((value, k) => {
      const wanted = expected[k]! * (k % C === 0 ? scale : 1);
      expect(Math.abs(value - wanted)).toBeLessThanOrEqual(relative * Math.abs(wanted));
    });
  }
});
