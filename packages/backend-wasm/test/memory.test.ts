// Tensors in wasm memory: views, growth, exhaustion, and that what is freed is used again.
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { seededBatch } from '@batchnorm/conformance';
import {
  type Backend,
  BatchNorm,
  type DeviceTensor,
  type Dtype,
  type Kernels,
  type MaybePromise,
  operationsOf,
} from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { LinearMemory, MemoryBudget } from '../src/linear-memory.js';

const zeros = (length: number) => ({ data: new Float32Array(length), shape: [length] });

describe.each([1, 2])('with %i threads', (threads) => {
  it('view() is the tensor: what is written there is computed with', async () => {
    const backend = await createWasmBackend({ threads });
    const x = (await backend.upload({ data: new Float32Array(4), shape: [2, 2] })) as DeviceTensor;
    x.view!().set([1, 10, 3, 30]);
    const layer = new BatchNorm({ backend, numFeatures: 2 });
    const y = await layer.forward(x);
    expect(Array.from(await y.read(), Math.sign)).toEqual([-1, -1, 1, 1]);
    expect(y.view!()).toEqual(await y.read());
    y.dispose();
    await expectCode('DISPOSED', () => y.view!());
    await expectCode('DISPOSED', () => y.read());
    await backend.dispose();
  });

  it('memory grows on demand, and tensors keep their elements', async () => {
    const backend = await createWasmBackend({ threads });
    const first = await backend.upload({ data: Float32Array.of(1, 2, 3), shape: [3] });
    const view = first.view!();
    const large = await backend.upload(zeros(5_000_000));
    expect(await first.read()).toEqual(Float32Array.of(1, 2, 3));
    first.view!()[0] = 9;
    expect((await first.read())[0]).toBe(9);
    // Shared memory keeps old views alive, the other kind empties them: as view() says.
    expect(view.length).toBe(threads === 1 ? 0 : 3);
    large.dispose();
    await backend.dispose();
  });

  it('read() copies: it is not shared and does not change', async () => {
    const backend = await createWasmBackend({ threads });
    const tensor = await backend.upload({ data: Float32Array.of(1, 2), shape: [2] });
    const copy = await tensor.read();
    tensor.view!().fill(5);
    expect(copy).toEqual(Float32Array.of(1, 2));
    expect(copy.buffer).toBeInstanceOf(ArrayBuffer);
    await backend.dispose();
  });

  it('exhaustion is LIMIT_EXCEEDED, changes nothing, and the next call works', async () => {
    const backend = await createWasmBackend({ threads, maxBytes: 4 << 20 });
    const { x } = seededBatch({ outer: 1000, channels: 200, inner: 1 }, { dtype: 'float32' });
    const shape = [1000, 200];
    const layer = new BatchNorm({ backend, numFeatures: 200 });
    const there = await backend.upload({ data: x, shape });
    const y = await layer.forward(there);
    const want = await y.read();
    const state = await layer.state();
    const filler: DeviceTensor[] = [];
    await expectCode('LIMIT_EXCEEDED', async () => {
      for (;;) filler.push(await backend.upload(zeros(50_000)));
    });
    await expectCode('LIMIT_EXCEEDED', () => layer.forward(there), /expected at most 4194304 bytes/);
    await expectCode('LIMIT_EXCEEDED', () => layer.forward({ data: x, shape }));
    expect(await layer.state()).toEqual(state);
    for (const tensor of filler) tensor.dispose();
    const again = await layer.forward(there, { training: true });
    expect(await again.read()).toEqual(want);
    await layer.dispose();
    await backend.dispose();
  });

  it('a training loop takes no more memory after its first steps, on the host and on the device', async () => {
    const backend = await createWasmBackend({ threads, maxBytes: 8 << 20 });
    const { x, dy } = seededBatch({ outer: 500, channels: 200, inner: 1 }, { dtype: 'float32' });
    const shape = [500, 200];
    const [thereX, thereDy] = [await backend.upload({ data: x, shape }), await backend.upload({ data: dy, shape })];
    const [host, device] = [0, 1].map(() => new BatchNorm({ backend, numFeatures: 200 })) as [BatchNorm, BatchNorm];
    for (let step = 0; step < 100; step++) {
      await host.forward({ data: x, shape });
      await host.backward({ data: dy, shape });
      const y = await device.forward(thereX);
      const gradients = await device.backward(thereDy);
      for (const result of [y, ...Object.values(gradients)]) result.dispose();
    }
    await host.dispose();
    await device.dispose();
    await backend.dispose();
  });
});

it('a call that memory has no room for leaves nothing behind, wherever it ran out', async () => {
  const [outer, channels] = [2, 20_000];
  const shape = [outer, channels];
  const backend = await createWasmBackend({ threads: 1, maxBytes: 8 << 20 });
  const data = new Float32Array(outer * channels).fill(1);
  const prepare = (dtype: Dtype) => backend.prepare({ extent: { outer, channels, inner: 1 }, dtype });
  const kernels = await prepare('float32');
  const parameters = { gamma: new Float64Array(channels), beta: new Float64Array(channels), epsilon: 1e-5 };
  const input = { ...parameters, y: undefined, requireFinite: true };
  const x = await backend.upload({ data, shape });
  const { saved } = await operationsOf(kernels.device!).forwardTraining({ ...input, x });
  const gradients = { saved, dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
  /** With kernels that keep nothing of calls before. */
  const withKernels = async (use: (kernels: Kernels) => MaybePromise<object>) => {
    const some = await prepare('float32');
    try {
      return await use(some);
    } finally {
      some.dispose();
    }
  };
  const calls: (() => MaybePromise<object>)[] = [
    () => operationsOf(kernels.device!).backwardTraining({ ...gradients, dy: x }),
    () => withKernels(({ device }) => operationsOf(device!).forwardTraining({ ...input, x })),
    () => withKernels((some) => operationsOf(some).forwardTraining({ ...input, x: data })),
    () => prepare('float64'),
  ];
  // Less and less room, so that each call runs out at each of its steps.
  const refused = calls.map(() => 0);
  const taken: DeviceTensor[] = [];
  const fill = async () => {
    for (;;) {
      for (const [n, call] of calls.entries()) {
        const before = backend.allocatedBytes!();
        try {
          const result = await call();
          for (const one of [result, ...Object.values(result)])
            if (one !== x && !ArrayBuffer.isView(one)) Object(one).dispose?.();
        } catch (error) {
          expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED' });
          refused[n]!++;
        }
        expect(backend.allocatedBytes!(), `call ${n}`).toBe(before);
      }
      taken.push(await backend.upload({ data: new Float32Array(7500), shape: [7500] }));
    }
  };
  await expectCode('LIMIT_EXCEEDED', fill);
  expect(Math.min(...refused)).toBeGreaterThan(3);
  await backend.dispose();
});

it('with threads, upload has what a layer on the host was given back', async () => {
  const backend = await createWasmBackend({ threads: 2, maxBytes: 8 << 20 });
  const shape = [1000, 700];
  const layer = new BatchNorm({ backend, numFeatures: 700 });
  await layer.forward({ data: new Float32Array(700_000).fill(1), shape });
  await layer.dispose();
  const there = await backend.upload({ data: new Float32Array(1_500_000), shape: [1_500_000] });
  there.dispose();
  const again = new BatchNorm({ backend, numFeatures: 700 });
  await again.forward({ data: new Float32Array(700_000).fill(1), shape });
  await backend.dispose();
});

describe('what was dropped without dispose()', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;

  async function collected(backend: Backend, bytes: number) {
    for (let turn = 0; turn < 50 && backend.allocatedBytes!() > bytes; turn++) {
      collect();
      await setImmediate();
    }
    return backend.allocatedBytes!();
  }

  it.each([1, 2])('is freed with %i threads: layers, kernels, tensors and results on the device', async (threads) => {
    const backend = await createWasmBackend({ threads });
    const shape = [512, 64];
    const { x, dy } = seededBatch({ outer: 512, channels: 64, inner: 1 }, { dtype: 'float32' });
    const before = backend.allocatedBytes!();
    const train = async () => {
      const layer = new BatchNorm({ backend, numFeatures: 64 });
      await layer.forward({ data: x, shape });
      await layer.backward({ data: dy, shape });
      await layer.forward(await backend.upload({ data: x, shape }));
      await layer.backward(await backend.upload({ data: dy, shape }));
    };
    for (let n = 0; n < 20; n++) await train();
    expect(backend.allocatedBytes!()).toBeGreaterThan(before + 20 * 5 * x.byteLength);
    expect(await collected(backend, before)).toBe(before);
    await backend.dispose();
  });

  it('is not freed while anybody has it: x that only its forward knows', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const shape = [512, 64];
    const { x, dy } = seededBatch({ outer: 512, channels: 64, inner: 1 }, { dtype: 'float32' });
    const kernels = await backend.prepare({ extent: { outer: 512, channels: 64, inner: 1 }, dtype: 'float32' });
    const device = operationsOf(kernels.device!);
    const parameters = { gamma: new Float64Array(64).fill(1), beta: new Float64Array(64), epsilon: 1e-5 };
    const forward = async () => {
      const there = await backend.upload({ data: x, shape });
      const { saved } = await device.forwardTraining({ ...parameters, x: there, y: undefined, requireFinite: true });
      return saved;
    };
    const saved = await forward();
    const upstream = await backend.upload({ data: dy, shape });
    const backward = async () => {
      const unset = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
      const { dx } = await device.backwardTraining({ saved, dy: upstream, ...unset });
      return (await dx.read()) as Float32Array;
    };
    const want = await backward();
    await collected(backend, 0);
    const others = await Promise.all(Array.from({ length: 8 }, () => backend.upload({ data: dy, shape })));
    expect(await backward()).toEqual(want);
    for (const tensor of others) tensor.dispose();
    await backend.dispose();
  });

  it.each([10, 20_000, 300_000])('is freed beside tensors of %i elements that somebody has', async (length) => {
    const backend = await createWasmBackend({ threads: 1 });
    const made = async (count: number) => {
      for (let n = 1; n < count; n++) await backend.upload(zeros(length));
      return backend.upload(zeros(length));
    };
    const empty = backend.allocatedBytes!();
    const one = await made(1);
    const bytesOfOne = backend.allocatedBytes!() - empty;
    const kept = [one, await made(50), await made(50), await made(99)];
    // What was made beside one that somebody has may stay: 15 others, or half a mebibyte.
    const mayStay = 1 + Math.min(15, Math.floor((512 << 10) / bytesOfOne));
    const most = empty + kept.length * mayStay * bytesOfOne;
    expect(backend.allocatedBytes!()).toBe(empty + 200 * bytesOfOne);
    expect(await collected(backend, most)).toBeLessThanOrEqual(most);
    const elements = await Promise.all(kept.map((tensor) => tensor.read()));
    expect(elements).toEqual(kept.map(() => new Float32Array(length)));
    for (const tensor of kept) tensor.dispose();
    expect(await collected(backend, empty)).toBe(empty);
    await backend.dispose();
  });

  it('is not freed again when it was disposed', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    const make = async () => (await backend.upload(zeros(1000))).dispose();
    await make();
    const [one, other] = [await backend.upload(zeros(1000)), await backend.upload(zeros(1000))];
    const bytes = backend.allocatedBytes!();
    await collected(backend, 0);
    expect(backend.allocatedBytes!()).toBe(bytes);
    one.view!().fill(1);
    expect(await other.read()).toEqual(new Float32Array(1000));
    await backend.dispose();
  });
});

it('kernels that memory has no room for leave nothing behind', async () => {
  const backend = await createWasmBackend({ threads: 1, maxBytes: 1 << 20 });
  const prepare = (channels: number) => backend.prepare({ extent: { outer: 2, channels, inner: 1 }, dtype: 'float32' });
  // Room for tables of 19,000 channels, but not for their gradients, too.
  for (let attempt = 0; attempt < 3; attempt++) await expectCode('LIMIT_EXCEEDED', async () => prepare(19_000));
  (await prepare(16_000)).dispose();
  await backend.dispose();
});

describe('LinearMemory', () => {
  it('gives disjoint ranges at cache lines, and joins what is freed', () => {
    const memory = new LinearMemory(new MemoryBudget(1 << 20), false);
    const taken = Array.from({ length: 50 }, (_, n) => ({ allocation: memory.allocate(1 + n * 7), bytes: 1 + n * 7 }));
    for (const [n, { allocation, bytes }] of taken.entries()) {
      expect(allocation.at % 64).toBe(0);
      const next = taken[n + 1]?.allocation;
      if (next) expect(next.at).toBeGreaterThanOrEqual(allocation.at + bytes);
    }
    for (const n of [1, 3, 2, 0, ...Array.from({ length: 46 }, (_, k) => 49 - k)]) taken[n]!.allocation.free();
    // But for what lies below, and the gap behind.
    const all = (1 << 20) - 4096 - 576;
    const whole = memory.allocate(all);
    expect(() => memory.allocate(64)).toThrow(/expected at most/);
    whole.free();
    expect(memory.allocate(all).at).toBe(whole.at);
  });

  it('is what all memories of a backend share, whatever they have grown to', () => {
    const budget = new MemoryBudget(1 << 20);
    const [one, other] = [new LinearMemory(budget, false), new LinearMemory(budget, true)];
    const most = (1 << 20) - 2 * 65536;
    expect(() => one.allocate(1 << 20)).toThrow(/expected at most 1048576 bytes in all/);
    const whole = one.allocate(most);
    expect(budget.takenBytes).toBeLessThanOrEqual(1 << 20);
    expect(() => other.allocate(1 << 18)).toThrow(/expected at most 1048576 bytes in all/);
    whole.free();
    const again = one.allocate(most);
    expect(again.at).toBe(whole.at);
    other.allocate(1 << 12);
    again.free();
    other.allocate(most);
    expect(() => one.allocate(1 << 18)).toThrow(/expected at most 1048576 bytes in all/);
  });

  it('frees an allocation once, whoever has its bytes by then', () => {
    const memory = new LinearMemory(new MemoryBudget(1 << 20), false);
    const first = memory.allocate(64);
    first.free();
    const second = memory.allocate(64);
    expect(second.at).toBe(first.at);
    first.free();
    expect(memory.allocate(64).at).not.toBe(second.at);
  });

  it('begins neighbours of a power of two bytes at different offsets of a page', () => {
    const memory = new LinearMemory(new MemoryBudget(1 << 22), false);
    const offsets = Array.from({ length: 4 }, () => memory.allocate(1 << 18).at % 4096);
    expect(new Set(offsets).size).toBe(4);
  });
});
