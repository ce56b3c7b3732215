// Host arrays in shared linear memory: the same bits as ordinary arrays, alive while somebody looks at them.
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededBatch } from '@batchnorm/conformance';
import { type AllocatedTensor, BatchNorm, type Dtype, extentOf, type Tensor } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { LinearMemory, MemoryBudget } from '../src/linear-memory.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Finalizers run in a later turn. */
async function collectGarbage(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    gc();
    await setImmediate();
    await setImmediate();
  }
}

const tensor = (length: number, value: number): Tensor => ({
  data: new Float32Array(length).fill(value),
  shape: [length, 1],
});

afterEach(() => vi.unstubAllGlobals());

const shapes = [
  [32, 10],
  [257, 67],
  [1100, 77],
  [3, 5, 523],
  [8, 64, 784],
  [66_000, 2],
  [2, 66_000],
];

describe.each([1, 2])('with %i threads', (threads) => {
  it.each(['float16', 'float32', 'float64'] as const)(
    '%s has the bits that it has in ordinary arrays',
    async (dtype) => {
      const backend = await createWasmBackend({ threads });
      for (const shape of shapes) {
        for (const activation of ['none', 'relu'] as const) {
          const options = { backend, numFeatures: shape[1]!, dtype, activation };
          const [layer, ordinary] = [new BatchNorm(options), new BatchNorm(options)];
          const [x, dy, residual] = [1, 2, 3].map((seed) => activationOf(shape, dtype, seed));
          const here = (one: Tensor) => layer.from(one);
          for (const training of [true, false]) {
            const how = { training, ...(activation === 'relu' && { residual: residual! }) };
            const want = { y: await ordinary.forward(x!, how), ...(await ordinary.backward(dy!)) };
            // Of what a call gets besides x, some lies there and some does not.
            const mixed = { ...how, ...(how.residual && training && { residual: here(residual!) }) };
            const elsewhere = (): Tensor => ({ data: x!.data.slice().fill(7), shape });
            const y = await layer.forward(here(x!), { ...mixed, out: training ? layer.empty(shape) : elsewhere() });
            const out = training ? { dx: elsewhere() } : {};
            const { dx, dresidual, ...vectors } = await layer.backward(training ? dy! : here(dy!), { out });
            expect(isSame(y, want.y)).toBe(true);
            expect(isSame(dx, want.dx)).toBe(true);
            if (want.dresidual) expect(isSame(dresidual!, want.dresidual)).toBe(true);
            expect(vectors).toEqual({ dgamma: want.dgamma, dbeta: want.dbeta });
          }
          expect(layer.runningVariance).toEqual(ordinary.runningVariance);
          await layer.dispose();
          await ordinary.dispose();
        }
      }
      await backend.dispose();
    },
  );

  it('arrays stay where they are when memory grows', async () => {
    const backend = await createWasmBackend({ threads });
    const first = backend.from(tensor(1000, 3));
    const { data } = first;
    const large = backend.empty([20_000_000], 'float32');
    large.data[19_999_999] = 5;
    data[0] = 4;
    expect(first.data).toBe(data);
    const layer = new BatchNorm({ backend, numFeatures: 1 });
    layer.gamma[0] = 0;
    layer.beta[0] = 7;
    await layer.forward(first, { out: { data: large.data.subarray(0, 1000), shape: [1000, 1] } });
    expect([large.data[0], large.data[999], large.data[1000]]).toEqual([7, 7, 0]);
    await backend.dispose();
  });

  it('what nobody looks at is freed, and what a view looks at is not', async () => {
    const backend = await createWasmBackend({ threads });
    // The first tensor makes the memory that all lie in.
    backend.empty([1], 'float32').dispose();
    const before = backend.allocatedBytes!();
    const looks: Float32Array[] = [];
    (() => {
      for (let k = 0; k < 50; k++) backend.empty([100_000], 'float32').data.fill(k);
      const { data } = backend.from(tensor(100_000, 1));
      looks.push(data.subarray(5, 10) as Float32Array);
      const other = backend.from(tensor(100_000, 2)).data;
      looks.push(new Float32Array(other.buffer as ArrayBuffer, other.byteOffset + 40, 5));
    })();
    await collectGarbage();
    expect(backend.allocatedBytes!() - before).toBeLessThan(3 * 400_000);
    const others = Array.from({ length: 60 }, (_, k) => backend.from(tensor(100_000, 10 + k)));
    expect(looks.map((look) => [...look])).toEqual([Array(5).fill(1), Array(5).fill(2)]);
    for (const one of others) one.dispose();
    looks.length = 0;
    await collectGarbage();
    expect(backend.allocatedBytes!() - before).toBeLessThan(2000);
    await backend.dispose();
  });

  it('memory that is exhausted is LIMIT_EXCEEDED, and the next call works', async () => {
    const backend = await createWasmBackend({ threads, maxBytes: 4 << 20 });
    const layer = new BatchNorm({ backend, numFeatures: 1 });
    const x = layer.from(tensor(200_000, 1));
    x.data[0] = 2;
    const held = await backend.upload(tensor(700_000, 1));
    await expectCode('LIMIT_EXCEEDED', () => layer.empty([200_000, 1]));
    await expectCode('LIMIT_EXCEEDED', () => layer.forward(x));
    expect(layer.batchesTracked).toBe(0);
    held.dispose();
    expect((await layer.forward(x)).data).toHaveLength(200_000);
    await backend.dispose();
  });

  it('results that nobody disposes go to ordinary arrays, when there are many', async () => {
    const backend = await createWasmBackend({ threads });
    const x = backend.empty([1 << 22], 'float32');
    const results: (AllocatedTensor | undefined)[] = [];
    for (let k = 0; k < 20; k++) results.push(backend.resultLike!(x));
    // 16 MB each: 256 MB, and not more.
    expect(results.filter((result) => result !== undefined)).toHaveLength(16);
    results[3]!.dispose();
    expect(backend.resultLike!(x)).toBeDefined();
    results.length = 0;
    await collectGarbage();
    expect(backend.resultLike!(x)).toBeDefined();
    await backend.dispose();
  });

  it('and so do tensors, of which there may be more', async () => {
    const backend = await createWasmBackend({ threads });
    const tensors = Array.from({ length: 17 }, () => backend.empty([1 << 24], 'float32'));
    // 64 MB each: 1 GB, and not more.
    const isShared = ({ data }: AllocatedTensor) => data.buffer instanceof SharedArrayBuffer;
    expect(tensors.map(isShared)).toEqual([...Array(16).fill(true), false]);
    tensors[3]!.dispose();
    expect(isShared(backend.empty([1 << 24], 'float32'))).toBe(true);
    await backend.dispose();
  });

  it('a loop that disposes nothing goes on, though its garbage is never looked for', async () => {
    const backend = await createWasmBackend({ threads });
    const layer = new BatchNorm({ backend, numFeatures: 1 });
    for (let step = 0; step < 40; step++) layer.empty([1 << 24, 1]);
    expect(backend.allocatedBytes!()).toBeLessThan(1.1 * 2 ** 30);
    await backend.dispose();
  });

  it('nor does one in little memory, whatever it drops', async () => {
    const backend = await createWasmBackend({ threads, maxBytes: 16 << 20 });
    const layer = new BatchNorm({ backend, numFeatures: 64 });
    const batch = { data: Float32Array.from({ length: 64 * 256 }, (_, k) => Math.sin(k)), shape: [256, 64] };
    const want = await layer.forward(batch, { track: false });
    for (let step = 0; step < 1000; step++) {
      const y = await layer.forward(layer.from(batch), { track: false });
      await layer.backward(batch);
      if (step % 100 === 99) expect(isSame(y, want)).toBe(true);
    }
    await backend.dispose();
  });

  it('a frozen tensor can be disposed, too', async () => {
    const backend = await createWasmBackend({ threads });
    const x = Object.freeze(backend.from(tensor(64, 1)));
    const before = backend.allocatedBytes!();
    x.dispose();
    expect(backend.allocatedBytes!()).toBeLessThan(before);
    await expectCode('DISPOSED', () => new BatchNorm({ backend, numFeatures: 1 }).forward(x));
    await backend.dispose();
  });

  it('an array beyond its tensor is refused', async () => {
    const backend = await createWasmBackend({ threads });
    const layer = new BatchNorm({ backend, numFeatures: 1 });
    const { data } = layer.from(tensor(64, 1));
    const all = data.buffer as ArrayBuffer;
    for (const at of [0, data.byteOffset - 4, data.byteOffset + 4]) {
      const outside = { data: new Float32Array(all, at, 64), shape: [64, 1] };
      await expectCode('INVALID_TENSOR', () => layer.forward(outside));
      await expectCode('INVALID_TENSOR', () => layer.forward(layer.from(tensor(64, 2)), { out: outside }));
    }
    await backend.dispose();
  });

  it('what is disposed during a call is nobody’s until the call has ended', async () => {
    const backend = await createWasmBackend({ threads });
    const shape = [3000, 300];
    const options = { backend, numFeatures: 300 };
    const [layer, ordinary] = [new BatchNorm(options), new BatchNorm(options)];
    const source = activationOf(shape, 'float32', 1);
    const want = await ordinary.forward(source);
    for (let turn = 0; turn < 10; turn++) {
      const [x, out] = [layer.from(source), layer.empty(shape)];
      const { data } = out;
      const running = layer.forward(x, { out });
      // Its turn comes first.
      await Promise.resolve();
      x.dispose();
      const taker = layer.from({ data: new Float32Array(900_000).fill(Number.NaN), shape });
      await running;
      expect(isSame({ data, shape }, want)).toBe(true);
      for (const one of [out, taker]) one.dispose();
    }
    await backend.dispose();
  });
});

it('what is freed during work is taken by nobody before it has ended', async () => {
  const memory = new LinearMemory(new MemoryBudget(1 << 20), false);
  const first = memory.allocate(256);
  let end!: () => void;
  const work = memory.during(
    new Promise<void>((resolve) => {
      end = resolve;
    }),
  );
  first.free();
  const meanwhile = memory.allocate(256);
  expect(meanwhile.at).not.toBe(first.at);
  end();
  await work;
  expect(memory.allocate(256).at).toBe(first.at);
});

it('where memory can’t be shared, allocated tensors are ordinary arrays', async () => {
  vi.stubGlobal('crossOriginIsolated', false);
  const backend = await createWasmBackend();
  const layer = new BatchNorm({ backend, numFeatures: 1 });
  const x = layer.from(tensor(64, 1));
  expect(x.data.buffer).toBeInstanceOf(ArrayBuffer);
  expect(backend.resultLike!(x)).toBeUndefined();
  expect((await layer.forward(x)).data.buffer).toBeInstanceOf(ArrayBuffer);
  await backend.dispose();
});

function activationOf(shape: readonly number[], dtype: Dtype, seed: number): Tensor {
  return { data: seededBatch(extentOf(shape, 1), { dtype, seed, mean: 1, deviation: 2 }).x, shape };
}

/** To the bit. */
function isSame(a: Tensor, b: Tensor): boolean {
  const bytesOf = ({ data }: Tensor) => Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return bytesOf(a).equals(bytesOf(b));
}
