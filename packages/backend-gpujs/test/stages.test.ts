// The stages by themselves: one after the other as in a whole operation, and with what the host has merged between them.
import {
  type DeviceTensor,
  type GradientSums,
  type Kernels,
  type Memory,
  type Moments,
  mergeMoments,
  type NormalizeInput,
  operationsOf,
  type Stages,
} from '@batchnorm/core-api';
import { type Batch, batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DeviceArray } from '../src/device-array.js';
import type { GpuJsBackend } from '../src/index.js';
import { describeModes, modesHere } from './modes.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const C = 4;
const ones = new Float64Array(C).fill(1);
const zeros = new Float64Array(C);
const none = { dx: undefined, dgamma: undefined, dbeta: undefined };
const forwardInput = { gamma: ones, beta: zeros, epsilon: 1e-5, y: undefined };

/** The first or second half of a batch along its first axis. */
function half({ x, dy, extent }: Batch, which: 0 | 1): Batch {
  const outer = extent.outer / 2;
  const of = ({ data, shape }: Batch['x']) => {
    const length = data.length / 2;
    return { data: data.slice(which * length, (which + 1) * length), shape: [outer, ...shape.slice(1)] };
  };
  return { x: of(x), dy: of(dy), extent: { ...extent, outer } };
}

const added = (a: Float64Array, b: Float64Array) => a.map((value, c) => value + b[c]!);

async function read<T>(value: T | { read(): T | PromiseLike<T> }): Promise<T> {
  return (Object(value).read ? (value as { read(): T }).read() : value) as T;
}

/** A backend's stages for a batch, its x and its dy, in a memory. */
async function stagesFor(backend: GpuJsBackend, batch: Batch, memory: 'host' | 'device') {
  const kernels = (await backend.prepare({ extent: batch.extent, dtype: 'float32' })) as Kernels;
  const put = async (tensor: Batch['x']): Promise<Memory['activation']> =>
    memory === 'host' ? (tensor.data as Float32Array) : backend.upload(tensor);
  return {
    stages: (memory === 'host' ? kernels : kernels.device!) as unknown as Stages<Memory>,
    x: await put(batch.x),
    dy: await put(batch.dy),
    kernels,
  };
}

await describeModes(modesHere, (mode, create) => {
  const onHost = mode === 'cpu' || mode === 'webasm';

  describe('one after the other', () => {
    for (const memory of ['host', 'device'] as const) {
      for (const shape of [
        [40, C],
        [6, C, 7],
      ]) {
        it(`give what whole operations give, of [${shape}] on the ${memory}`, async () => {
          const backend = await create();
          const batch = batchOf(shape, { mean: 3 });
          const { stages, x, dy } = await stagesFor(backend, batch, memory);
          const operations = operationsOf(stages);
          const whole = await operations.forwardTraining({ ...forwardInput, x, requireFinite: true });
          const wholeBackward = await operations.backwardTraining({
            ...none,
            saved: whole.saved,
            dy,
            parameterGradients: true,
          });
          const moments = await stages.moments({ x, epsilon: 1e-5 });
          const { y, saved } = await stages.normalize({ ...forwardInput, x, by: { batch: moments } });
          const sums = await stages.gradientSums({ saved, dy });
          const backward = await stages.inputGradient({ ...none, saved, dy, sums, total: sums });
          // On the device stages hand on tables, on the host numbers, of which other tables are made.
          const expectSame = async (received: unknown, expected: unknown) => {
            const [a, b] = [(await read(received)) as Float32Array, (await read(expected)) as Float32Array];
            if (memory === 'device') expect(a).toEqual(b);
            else expect(largestError(a, b)).toBeLessThanOrEqual(2 ** -21 * Math.max(...Array.from(b, Math.abs)));
          };
          expect(await read(moments)).toEqual(await read(whole.moments));
          await expectSame(y, whole.y);
          for (const name of ['dx', 'dgamma', 'dbeta'] as const) await expectSame(backward[name], wholeBackward[name]);

          // A backward does not care what its forward was made of.
          const fused = await operations.backwardTraining({ ...none, saved, dy, parameterGradients: true });
          await expectSame(fused.dx, wholeBackward.dx);
          const ofWhole = await stages.gradientSums({ saved: whole.saved, dy });
          const staged = await stages.inputGradient({ ...none, saved: whole.saved, dy, sums: ofWhole, total: ofWhole });
          await expectSame(staged.dx, wholeBackward.dx);
          await backend.dispose();
        });
      }
    }
  });

  for (const memory of ['host', 'device'] as const) {
    describe(`merged on the host, of activations on the ${memory},`, () => {
      /** Both halves normalised by the moments of the whole, and dx by the sums of the whole. */
      async function halves(backend: GpuJsBackend, batch: Batch, input: Omit<NormalizeInput<Memory>, 'x' | 'by'>) {
        const parts = [
          await stagesFor(backend, half(batch, 0), memory),
          await stagesFor(backend, half(batch, 1), memory),
        ] as const;
        const { epsilon } = input;
        const [a, b] = await Promise.all(
          parts.map(async ({ stages, x }) =>
            structuredClone(await read<Moments>(await stages.moments({ x, epsilon }))),
          ),
        );
        const moments = mergeMoments(a!, b!);
        const reads = vi.spyOn(DeviceArray.prototype, 'read').mockClear();
        const forwards = await Promise.all(
          parts.map(({ stages, x }) => stages.normalize({ ...input, x, by: { batch: moments } })),
        );
        if (memory === 'device' && !onHost) expect(reads).not.toHaveBeenCalled();
        const sums = await Promise.all(
          parts.map(({ stages, dy }, n) => stages.gradientSums({ saved: forwards[n]!.saved, dy })),
        );
        const [first, second] = await Promise.all(sums.map((one) => read<GradientSums>(one)));
        const total = { dgamma: added(first!.dgamma, second!.dgamma), dbeta: added(first!.dbeta, second!.dbeta) };
        reads.mockClear();
        const backwards = await Promise.all(
          parts.map(({ stages, dy }, n) =>
            stages.inputGradient({ ...none, saved: forwards[n]!.saved, dy, sums: sums[n], total }),
          ),
        );
        if (memory === 'device' && !onHost) expect(reads).not.toHaveBeenCalled();
        const joined = async (values: readonly unknown[]) =>
          Float64Array.from(
            (await Promise.all(values.map((value) => read(value)))).flatMap((one) => [...(one as Float32Array)]),
          );
        return {
          moments,
          total,
          y: await joined(forwards.map(({ y }) => y)),
          dx: await joined(backwards.map(({ dx }) => dx)),
          dgamma: [await read(backwards[0]!.dgamma), first!.dgamma],
        };
      }

      it('moments and sums of two halves make y and dx those of the whole', async () => {
        const backend = await create();
        for (const shape of [
          [40, C],
          [6, C, 7],
        ]) {
          const batch = batchOf(shape, { mean: 3 });
          const exact = exactOf(batch);
          const { moments, total, y, dx, dgamma } = await halves(backend, batch, forwardInput);
          expect(moments.count).toBe(batch.extent.outer * batch.extent.inner);
          expect(largestError(y, exact.y)).toBeLessThan(1e-6);
          expect(largestError(dx, exact.dx)).toBeLessThan(1e-6);
          expect(largestError(total.dgamma, exact.dgamma)).toBeLessThan(1e-5);
          // dgamma is of the half alone.
          expect(dgamma[0]).toEqual(dgamma[1]);
        }
        await backend.dispose();
      });

      it.skipIf(memory === 'device' && !onHost)('values beyond what float32 can square are right', async () => {
        const backend = await create();
        const ordinary = batchOf([40, C]);
        const batch = { ...ordinary, x: { ...ordinary.x, data: ordinary.x.data.map((value) => value * 1e20) } };
        const exact = exactOf(batch);
        const { y, dx } = await halves(backend, batch, forwardInput);
        expect(largestError(y, exact.y)).toBeLessThan(1e-6);
        expect(largestError(dx, exact.dx)).toBeLessThan(1e-6 * Math.max(...exact.invStd));
        await backend.dispose();
      });

      it('a backward divides by as many values as its forward normalised by', async () => {
        const backend = await create();
        const batch = batchOf([40, C]);
        const { stages, x, dy } = await stagesFor(backend, half(batch, 0), memory);
        const exact = exactOf(batch);
        const m2 = exact.variance.map((variance) => 80 * variance);
        const by = { batch: { count: 80, mean: exact.mean, m2 } };
        const { y, saved } = await stages.normalize({ ...forwardInput, x, by });
        const xHat = await read<Float32Array>(y as never);
        const sums = await stages.gradientSums({ saved, dy });
        const values = await read<GradientSums>(sums);
        for (const total of [sums, { dgamma: values.dgamma.slice(), dbeta: values.dbeta.slice() }]) {
          const { dx } = await stages.inputGradient({ ...none, saved, dy, sums, total });
          const data = batch.dy.data.slice(0, xHat.length);
          const expected = data.map((value: number, k: number) => {
            const c = k % C;
            return exact.invStd[c]! * (value - (values.dbeta[c]! + xHat[k]! * values.dgamma[c]!) / 80);
          });
          expect(largestError(await read<Float32Array>(dx as never), expected)).toBeLessThan(1e-6);
        }
        await backend.dispose();
      });
    });

    it(`read vectors on the ${memory} before they suspend`, async () => {
      const backend = await create();
      const { stages, x, dy } = await stagesFor(backend, batchOf([10, C]), memory);
      const vectors = () => ({ gamma: ones.slice(), beta: ones.slice(), mean: zeros.slice(), variance: ones.slice() });
      const normalize = ({ gamma, beta, mean, variance }: ReturnType<typeof vectors>, isBatch: boolean) => {
        const by = isBatch ? { batch: { count: 10, mean, m2: variance } } : { given: { mean, variance } };
        return stages.normalize({ x, gamma, beta, epsilon: 1e-5, y: undefined, by });
      };
      for (const isBatch of [true, false]) {
        const own = vectors();
        const wanted = await normalize(vectors(), isBatch);
        const pending = normalize(own, isBatch);
        for (const vector of Object.values(own)) vector.fill(7);
        const { y, saved } = await pending;
        expect(await read(y)).toEqual(await read(wanted.y));
        const sums = await stages.gradientSums({ saved, dy });
        const total = { dgamma: ones.slice(), dbeta: ones.slice() };
        const gradient = (total: GradientSums) => stages.inputGradient({ ...none, saved, dy, sums, total });
        const wantedGradient = await gradient({ dgamma: ones, dbeta: ones });
        const pendingGradient = gradient(total);
        total.dgamma.fill(7);
        total.dbeta.fill(7);
        expect(await read((await pendingGradient).dx)).toEqual(await read(wantedGradient.dx));
      }
      await backend.dispose();
    });
  }

  it('whole operations on the device outlast what they were given', async () => {
    const backend = await create();
    const batch = batchOf([20, C]);
    const { stages, x, dy } = await stagesFor(backend, batch, 'device');
    const operations = operationsOf(stages);
    const pending = operations.forwardTraining({ ...forwardInput, x, requireFinite: false });
    (x as DeviceTensor).dispose();
    const { y, saved } = await pending;
    const gradients = operations.backwardTraining({ ...none, saved, dy, parameterGradients: true });
    (dy as DeviceTensor).dispose();
    saved.dispose();
    expect(largestError(await read<Float32Array>(y as never), exactOf(batch).y)).toBeLessThan(1e-6);
    expect(largestError(await read<Float32Array>((await gradients).dx as never), exactOf(batch).dx)).toBeLessThan(1e-6);
    await backend.dispose();
  });

  it.skipIf(onHost)(
    'what float32 can not normalise: moments fail when they are read, merged ones at once',
    async () => {
      const backend = await create();
      const batch = batchOf([20, C]);
      const { stages, x } = await stagesFor(backend, batch, 'device');
      const input = { ...forwardInput, x, gamma: new Float64Array(C).fill(1e32) };
      const moments = await stages.moments({ x, epsilon: 1e-5 });
      const merged = structuredClone(await read<Moments>(moments));
      await stages.normalize({ ...input, by: { batch: moments } });
      await expectCode('NON_FINITE_STATISTICS', () => read(moments), /gamma 1e\+32/);
      await expectCode(
        'NON_FINITE_STATISTICS',
        () => stages.normalize({ ...input, by: { batch: merged } }),
        /gamma 1e\+32/,
      );
      await backend.dispose();
    },
  );

  it('moments and sums of another backend are FOREIGN_TENSOR, disposed ones DISPOSED', async () => {
    const [backend, other] = [await create(), await create()];
    const { stages, x, dy } = await stagesFor(backend, batchOf([10, C]), 'device');
    const foreign = await stagesFor(other, batchOf([10, C]), 'device');
    const moments = await stages.moments({ x, epsilon: 1e-5 });
    const { saved } = await stages.normalize({ ...forwardInput, x, by: { batch: moments } });
    const sums = await stages.gradientSums({ saved, dy });
    const foreignMoments = await foreign.stages.moments({ x: foreign.x, epsilon: 1e-5 });
    const ofForeign = await foreign.stages.normalize({ ...forwardInput, x: foreign.x, by: { batch: foreignMoments } });
    const foreignSums = await foreign.stages.gradientSums({ saved: ofForeign.saved, dy: foreign.dy });
    const normalize = (batch: Memory['moments']) => stages.normalize({ ...forwardInput, x, by: { batch } });
    const gradient = (total: Memory['sums']) => stages.inputGradient({ ...none, saved, dy, sums, total });
    await expectCode('FOREIGN_TENSOR', () => normalize(foreignMoments));
    await expectCode('FOREIGN_TENSOR', () => normalize({ read: () => ({}) as Moments, dispose() {} }));
    await expectCode('FOREIGN_TENSOR', () => gradient(foreignSums));
    for (const found of [moments, sums]) (found as { dispose(): void }).dispose();
    await expectCode('DISPOSED', () => normalize(moments));
    await expectCode('DISPOSED', () => gradient(sums));
    await backend.dispose();
    await other.dispose();
  });
});
