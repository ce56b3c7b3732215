// Stages by themselves: the bits of the operations when they follow one another, and what may stand between them.
import { createHash } from 'node:crypto';
import { seededBatch } from '@batchnorm/conformance';
import {
  allocate,
  type Backend,
  type Dtype,
  type Extent,
  type FloatArray,
  type GradientSums,
  type Memory,
  type Moments,
  mergeMoments,
  type OnDevice,
  type Operations,
  operationsOf,
  type Stages,
} from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { backends } from './backends.js';
import { read, unfused } from './stages.js';

const extents: Extent[] = [
  { outer: 33, channels: 7, inner: 1 },
  { outer: 1300, channels: 300, inner: 1 },
  { outer: 9, channels: 5, inner: 20 },
  { outer: 6, channels: 70, inner: 400 },
];
const dtypes: Dtype[] = ['float32', 'float64'];
const unset = { dx: undefined, dgamma: undefined, dbeta: undefined };

/** The stages for one memory, and how values come there and back. */
async function placed(backend: Backend, extent: Extent, dtype: Dtype, onDevice: boolean) {
  const kernels = await backend.prepare({ extent, dtype });
  const stages = (onDevice ? kernels.device : kernels) as Stages<Memory>;
  const place = async (data: FloatArray) => (onDevice ? backend.upload({ data, shape: [data.length] }) : data.slice());
  return { kernels, stages, place };
}

/** Of an activation, a vector, or moments. */
async function digestOf(value: object): Promise<string> {
  const there = (await read<object>(value)) as FloatArray | Moments;
  const digest = createHash('sha1');
  for (const { buffer, byteOffset, byteLength } of 'm2' in there ? [there.mean, there.m2] : [there]) {
    digest.update(Buffer.from(buffer, byteOffset, byteLength));
  }
  return digest.digest('hex');
}

function dispose(...values: object[]): void {
  for (const value of values) if ('dispose' in value) (value as { dispose(): void }).dispose();
}

function sumOf(a: GradientSums, b: GradientSums): GradientSums {
  const add = (name: 'dgamma' | 'dbeta') => a[name].map((value, c) => value + b[name][c]!);
  return { dgamma: add('dgamma'), dbeta: add('dbeta') };
}

function farthest(got: Float64Array, want: FloatArray): number {
  expect(got.length).toBe(want.length);
  return got.reduce((most, value, k) => Math.max(most, Math.abs(value - want[k]!)), 0);
}

describe.each([1, 2])('with %i threads', (threads) => {
  const backend = backends.get(threads)!;

  describe.each(extents)('of $outer×$channels×$inner', (extent) => {
    it.each(dtypes)('%s: one after the other are the operation to the bit, also half of each', async (dtype) => {
      const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype, mean: 3 });
      const given = { mean: beta, variance: gamma.map(Math.abs) };
      for (const onDevice of [false, true]) {
        const { kernels, stages, place } = await placed(backend, extent, dtype, onDevice);
        const [thereX, thereDy] = [await place(x), await place(dy)];
        const [fused, staged] = [operationsOf(stages), operationsOf(unfused(stages))];
        for (const training of [true, false]) {
          const step = async (forward: Operations<Memory>, backward: Operations<Memory>) => {
            const input = { x: thereX, y: undefined, gamma, beta, epsilon, requireFinite: true };
            const { y, saved, ...found } = training
              ? await forward.forwardTraining(input)
              : await forward.forwardInference({ ...input, ...given });
            const gradients = { saved, dy: thereDy, ...unset, parameterGradients: true };
            const { dx, dgamma, dbeta } = training
              ? await backward.backwardTraining(gradients)
              : await backward.backwardInference(gradients);
            const results: object[] = [y, dx, dgamma, dbeta, ...Object.values<object>(found)];
            const digests = await Promise.all(results.map((value) => digestOf(value)));
            dispose(saved, ...results);
            return digests;
          };
          const want = await step(fused, fused);
          expect(await step(staged, staged)).toEqual(want);
          expect(await step(fused, staged)).toEqual(want);
          expect(await step(staged, fused)).toEqual(want);
        }
        dispose(thereX, thereDy);
        kernels.dispose();
      }
    });

    it.each(dtypes)('%s: halves with merged moments and added sums are the whole', async (dtype) => {
      const { outer, channels, inner } = extent;
      const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype, mean: 3 });
      const cut = Math.floor(outer / 3);
      const bound = dtype === 'float32' ? 2e-6 : 1e-13;
      for (const onDevice of [false, true]) {
        const whole = await placed(backend, extent, dtype, onDevice);
        const parameters = { gamma, beta, epsilon, y: undefined, requireFinite: true };
        const all = operationsOf(whole.stages);
        const { y, saved } = await all.forwardTraining({ ...parameters, x: await whole.place(x) });
        const gradients = { saved, dy: await whole.place(dy), ...unset, parameterGradients: true };
        const want = await all.backwardTraining(gradients);

        const halves = await Promise.all(
          [
            [0, cut],
            [cut, outer],
          ].map(async ([first, last]) => {
            const part = (values: FloatArray) => values.subarray(first! * channels * inner, last! * channels * inner);
            const own = { outer: last! - first!, channels, inner };
            const { stages, place } = await placed(backend, own, dtype, onDevice);
            return { stages, x: await place(part(x)), dy: await place(part(dy)) };
          }),
        );
        const found: Moments[] = [];
        for (const half of halves) found.push(await read(await half.stages.moments({ x: half.x, epsilon })));
        const batch = mergeMoments(found[0]!, found[1]!);
        const forwards = [];
        for (const { stages, x } of halves) forwards.push(await stages.normalize({ ...parameters, x, by: { batch } }));
        const sums: Memory['sums'][] = [];
        for (const [n, { stages, dy }] of halves.entries()) {
          sums.push(await stages.gradientSums({ saved: forwards[n]!.saved, dy }));
        }
        const total = sumOf(await read<GradientSums>(sums[0]!), await read<GradientSums>(sums[1]!));
        const backwards = [];
        for (const [n, { stages, dy }] of halves.entries()) {
          const { saved } = forwards[n]!;
          backwards.push(await stages.inputGradient({ saved, dy, ...unset, sums: sums[n], total }));
        }

        const joined = async (parts: Memory['activation'][]) => {
          const values = await Promise.all(parts.map((part) => read<FloatArray>(part)));
          return Float64Array.from(values.flatMap((part) => [...part]));
        };
        expect(farthest(await joined(forwards.map((one) => one.y)), await read<FloatArray>(y))).toBeLessThan(bound);
        const dx = await joined(backwards.map((one) => one.dx));
        expect(farthest(dx, await read<FloatArray>(want.dx))).toBeLessThan(10 * bound);
        for (const name of ['dgamma', 'dbeta'] as const) {
          const wanted = await read<Float64Array>(want[name]);
          expect(farthest(total[name], wanted)).toBeLessThan(bound * outer * inner);
          const own = await Promise.all(backwards.map((one) => read<Float64Array>(one[name])));
          expect(own).toEqual(await Promise.all(sums.map(async (one) => (await read<GradientSums>(one))[name])));
        }
        dispose(...halves.flatMap((half) => [half.x, half.dy]), ...sums, saved, y, ...Object.values(want));
        dispose(...forwards.flatMap(Object.values), ...backwards.flatMap(Object.values));
      }
    });
  });

  const extent = { outer: 40, channels: 3, inner: 2 };
  const length = 240;

  async function ready(onDevice: boolean, dtype: Dtype = 'float32') {
    const batch = seededBatch(extent, { dtype, mean: 3 });
    const { stages, place } = await placed(backend, extent, dtype, onDevice);
    const [x, dy] = [await place(batch.x), await place(batch.dy)];
    const { gamma, beta, epsilon } = batch;
    return { stages, place, x, dy, data: batch.x, parameters: { gamma, beta, epsilon, y: undefined } };
  }

  it.each([false, true])('moments and sums outlast what is made with them, on the device: %s', async (onDevice) => {
    const { stages, place, x, dy, data, parameters } = await ready(onDevice);
    const moments = await stages.moments({ x, epsilon: parameters.epsilon });
    const before = await read<Moments>(moments);
    const first = await stages.normalize({ ...parameters, x, by: { batch: moments } });
    const sums = await stages.gradientSums({ saved: first.saved, dy });
    const sumsBefore = structuredClone({ ...(await read<GradientSums>(sums)) });
    const gradient = async () => {
      const { dx } = await stages.inputGradient({ saved: first.saved, dy, ...unset, sums, total: sums });
      return read<FloatArray>(dx);
    };
    const want = await gradient();
    const other = { ...parameters, gamma: parameters.gamma.map((value) => -value) };
    const second = await stages.normalize({ ...other, x, by: { batch: moments } });
    const merged = mergeMoments(before, { ...before, mean: before.mean.map((value) => value + 1) });
    await stages.normalize({ ...other, x, by: { batch: merged } });
    await stages.moments({ x: await place(data.map((value) => 5 * value)), epsilon: 1 });
    expect(await read(moments)).toEqual(before);
    expect(await read(sums)).toMatchObject(sumsBefore);
    expect(await gradient()).toEqual(want);
    dispose(moments, sums, first.saved);
    const sumsOfSecond = await read<GradientSums>(await stages.gradientSums({ saved: second.saved, dy }));
    expect(sumsOfSecond.dgamma).toEqual(sumsBefore.dgamma);
  });

  it.each(dtypes)('%s: merged moments that float64 can not hold are refused, on the device y is NaN', async (dtype) => {
    const one = Float64Array.of(1, 1, 1);
    const merged: [string, Moments, number][] = [
      ['an infinite m2', { count: 9, mean: one, m2: Float64Array.of(1, Infinity, 1) }, 1e-5],
      ['a mean that is none', { count: 9, mean: Float64Array.of(1, Number.NaN, 1), m2: one }, 1e-5],
      ['no m2 though values differ from the mean', { count: 9, mean: one, m2: Float64Array.of(1, 0, 1) }, 0],
    ];
    for (const [name, batch, epsilon] of merged) {
      const host = await ready(false, dtype);
      const y = allocate(dtype, length).fill(3);
      const input = { ...host.parameters, epsilon, by: { batch } };
      const refused = () => host.stages.normalize({ ...input, x: host.x, y });
      await expectCode('NON_FINITE_STATISTICS', refused, /received .+channel 1 .+, expected .+/);
      expect(y, name).toEqual(allocate(dtype, length).fill(3));
      const device = await ready(true, dtype);
      const there = await device.stages.normalize({ ...input, x: device.x });
      const areNaN = Array.from(await read<FloatArray>(there.y), Number.isNaN);
      expect(areNaN, name).toEqual(areNaN.map((_, k) => Math.floor(k / extent.inner) % 3 === 1));
    }
  });

  it('a total that is not finite because of others spreads to its channel', async () => {
    const { stages, x, dy, parameters } = await ready(false);
    const batch = await stages.moments({ x, epsilon: parameters.epsilon });
    const { saved } = await stages.normalize({ ...parameters, x, by: { batch } });
    const sums = (await stages.gradientSums({ saved, dy })) as GradientSums;
    const total = { ...sums, dbeta: Float64Array.of(sums.dbeta[0]!, Number.NaN, sums.dbeta[2]!) };
    const none = { dx: undefined, dgamma: undefined, dbeta: undefined };
    const { dx, dgamma, dbeta } = await stages.inputGradient({ saved, dy, ...none, sums, total });
    const { dx: own } = await stages.inputGradient({ saved, dy, ...none, sums, total: sums });
    const channelOf = (k: number) => Math.floor(k / extent.inner) % extent.channels;
    (dx as FloatArray).forEach((value: number, k: number) => {
      expect(value).toBe(channelOf(k) === 1 ? Number.NaN : (own as FloatArray)[k]);
    });
    expect({ dgamma, dbeta }).toEqual(sums);
  });

  it('gradients too small for float32 keep their digits when the total comes from the host', async () => {
    for (const onDevice of [false, true]) {
      const { stages, place, parameters } = await ready(onDevice);
      const values = (value: (j: number) => number) => place(Float32Array.from({ length }, (_, j) => value(j)));
      const x = await values((j) => 1e-20 * Math.sin(j));
      const dy = await values((j) => 1e-42 * Math.round(100 * Math.cos(j)));
      const batch = await stages.moments({ x, epsilon: 0 });
      const { saved } = await stages.normalize({ ...parameters, x, epsilon: 0, by: { batch } });
      const sums = await stages.gradientSums({ saved, dy });
      const { dgamma, dbeta } = await read<GradientSums>(sums);
      const gradient = async (total: Memory['sums'] | GradientSums) =>
        read<FloatArray>((await stages.inputGradient({ saved, dy, ...unset, sums: undefined, total })).dx);
      expect(await gradient({ dgamma, dbeta })).toEqual(await gradient(sums));
    }
  });

  it('what is foreign or disposed is refused, and leaves nothing behind', async () => {
    const { stages, x, dy, parameters } = await ready(true);
    const { stages: others } = await ready(true);
    const batch = (await stages.moments({ x, epsilon: parameters.epsilon })) as OnDevice<Moments>;
    const { saved } = await stages.normalize({ ...parameters, x, by: { batch } });
    const sums = (await stages.gradientSums({ saved, dy })) as OnDevice<GradientSums>;
    const elsewhere = { read: async () => ({}) as never, dispose: () => undefined };
    const [goneBatch, goneSums] = [
      (await others.moments({ x, epsilon: 1 })) as OnDevice<Moments>,
      (await stages.gradientSums({ saved, dy })) as OnDevice<GradientSums>,
    ];
    const normalize = (by: OnDevice<Moments>) => () => stages.normalize({ ...parameters, x, by: { batch: by } });
    // Tables that are given back wait for the next forward.
    dispose(goneBatch, goneSums, ...Object.values(await normalize(batch)()));
    const before = backend.allocatedBytes!();
    const gradient = (own: OnDevice<GradientSums>, total: OnDevice<GradientSums>) => () =>
      stages.inputGradient({ saved, dy, ...unset, sums: own, total });
    await expectCode('FOREIGN_TENSOR', normalize(elsewhere), /batch/);
    await expectCode('DISPOSED', normalize(goneBatch), /received .+, expected .+/);
    for (const code of ['FOREIGN_TENSOR', 'DISPOSED'] as const) {
      const wrong = code === 'DISPOSED' ? goneSums : elsewhere;
      await expectCode(code, gradient(wrong, sums), /received .+, expected .+/);
      await expectCode(code, gradient(sums, wrong), /received .+, expected .+/);
    }
    const host = new Float32Array(length) as never;
    await expectCode('FOREIGN_TENSOR', () => stages.moments({ x: host, epsilon: 1 }), /x /);
    await expectCode('FOREIGN_TENSOR', () => stages.gradientSums({ saved, dy: host }), /dy /);
    expect(backend.allocatedBytes!()).toBe(before);
    expect((await read(batch)).count).toBe(80);
  });
});
