// Threads: the same bits however many there are, and whichever dies; and no process that they keep alive.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { seededBatch } from '@batchnorm/conformance';
import {
  type Backend,
  BatchNorm,
  BatchNormError,
  type DeviceTensor,
  type Dtype,
  type Extent,
  type Kernels,
  operationsOf,
} from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { PoolExports } from '../src/abi/exports.js';
import { createWasmBackend } from '../src/index.js';
import { LinearMemory, MemoryBudget } from '../src/linear-memory.js';
import { modules } from '../src/modules.js';
import { WorkerPool } from '../src/worker-pool.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const extents: Extent[] = [
  { outer: 700, channels: 200, inner: 1 },
  { outer: 1100, channels: 77, inner: 1 },
  // Rows of more than 1 kB, which are added up in streams far apart.
  { outer: 1300, channels: 300, inner: 1 },
  { outer: 5, channels: 70, inner: 400 },
  // Runs of more than 2 MB: two panels on one thread.
  { outer: 20, channels: 120, inner: 300 },
  { outer: 100_000, channels: 3, inner: 1 },
];

/** `hasOutlier`: the first value of a channel in the middle is far from all others, and with it the pivot. */
async function train(threads: number, extent: Extent, dtype: Dtype, onDevice: boolean, hasOutlier = false) {
  const backend = await createWasmBackend({ threads });
  expect(backend.execution.threads).toBe(threads);
  const { x, dy, gamma, beta } = seededBatch(extent, { dtype, mean: 3 });
  if (hasOutlier) x[(extent.channels >> 1) * extent.inner] = 1e4;
  const shape = [extent.outer, extent.channels, extent.inner];
  const layer = new BatchNorm({ backend, numFeatures: extent.channels, dtype });
  layer.gamma.set(gamma);
  layer.beta.set(beta);
  const placed = async (data: typeof x) => (onDevice ? backend.upload({ data, shape }) : { data, shape });
  const results = [];
  for (const training of [true, false]) {
    const y = await layer.forward((await placed(x)) as never, { training });
    const { dx, dgamma, dbeta } = await layer.backward((await placed(dy)) as never);
    const read = async (value: object) => ('read' in value ? (value as { read(): unknown }).read() : value);
    const bits = (value: unknown) => (ArrayBuffer.isView(value) ? value : (value as { data: unknown }).data);
    for (const value of [y, dx, dgamma, dbeta]) results.push(bits(await read(value)));
  }
  results.push((await layer.state()).runningVariance);
  await layer.dispose();
  await backend.dispose();
  return results;
}

describe.each(extents)('of $outer×$channels×$inner', (extent) => {
  it.each([
    ['float32', false],
    ['float64', false],
    ['float32', true],
    ['float64', true],
  ] as const)('%s results are the same bits on 1, 2 and 3 threads, with an outlier: %s', async (dtype, hasOutlier) => {
    const want = await train(1, extent, dtype, false, hasOutlier);
    for (const threads of [1, 2, 3]) {
      for (const onDevice of [true, false]) {
        const got = await train(threads, extent, dtype, onDevice, hasOutlier);
        expect(got.every((values, k) => Buffer.compare(bytesOf(values), bytesOf(want[k])) === 0)).toBe(true);
      }
    }
  });
});

describe('an activation that no cache holds', () => {
  const [times, outer, channels] = [128, 64, 400];
  const { x, dy } = seededBatch({ outer, channels, inner: 1 }, { dtype: 'float32', mean: 3 });
  const repeated = (data: typeof x) =>
    Float32Array.from({ length: times * data.length }, (_, k) => data[k % data.length]!);
  const worst = (got: ArrayLike<number>, want: ArrayLike<number>) =>
    Array.from(got).reduce((most, value, k) => Math.max(most, Math.abs(value - want[k % want.length]!)), 0);

  it.each([1, 2])('is trained on as on one of the batches that it repeats, on %i threads', async (threads) => {
    const backend = await createWasmBackend({ threads });
    const train = async (data: typeof x, upstream: typeof x) => {
      const layer = new BatchNorm({ backend, numFeatures: channels });
      const shape = [data.length / channels, channels];
      const y = await layer.forward(await backend.upload({ data, shape }));
      const { dx } = await layer.backward(await backend.upload({ data: upstream, shape }));
      return { y: await y.read(), dx: await dx.read() };
    };
    const [small, large] = [await train(x, dy), await train(repeated(x), repeated(dy))];
    expect(worst(large.y, small.y)).toBeLessThan(1e-6);
    expect(worst(large.dx, small.dx)).toBeLessThan(1e-5);
    await backend.dispose();
  });
});

function bytesOf(values: unknown): Buffer {
  const view = ArrayBuffer.isView(values) ? values : Float64Array.from(values as number[]);
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** Makes a backend, and gives its workers. */
async function backendWithWorkers(threads: number) {
  const workers: Worker[] = [];
  const { getBuiltinModule } = process;
  vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) => {
    if (name !== 'node:worker_threads') return getBuiltinModule(name);
    return {
      Worker: class extends Worker {
        constructor(...args: ConstructorParameters<typeof Worker>) {
          super(...args);
          workers.push(this);
        }
      },
    };
  }) as never);
  return { backend: await createWasmBackend({ threads }), workers };
}

describe('a worker that dies', () => {
  const rows: Extent = { outer: 700, channels: 200, inner: 1 };
  const runs: Extent = { outer: 5, channels: 70, inner: 400 };

  it.each([rows, runs])('costs nothing but its help, of $outer×$channels×$inner', async (extent) => {
    const { backend, workers } = await backendWithWorkers(3);
    expect(workers).toHaveLength(2);
    const want = await trainOnDevice(backend, extent);
    for (const worker of workers) {
      await worker.terminate();
      expect(await trainOnDevice(backend, extent)).toBe(want);
    }
    await backend.dispose();
  });

  // Whatever it was doing: sums, coefficients or results, in one task or another.
  it.each([rows, runs])(
    'in the middle of its work leaves no trace in the results, of $outer×$channels×$inner',
    async (extent) => {
      const reference = await createWasmBackend({ threads: 1 });
      const want = await trainOnDevice(reference, extent);
      await reference.dispose();
      for (let attempt = 0; attempt < 4; attempt++) {
        const { backend, workers } = await backendWithWorkers(3);
        for (let step = 0; step < 2 + attempt; step++) expect(await trainOnDevice(backend, extent)).toBe(want);
        void workers[0]!.terminate();
        for (let step = 0; step < 12; step++) {
          expect(await trainOnDevice(backend, extent)).toBe(want);
          // A process that never lets the event loop run learns of nothing.
          if (step % 4 === 0) await setImmediate();
        }
        await backend.dispose();
      }
    },
  );
});

/** A digest of y, and of gradients with dx beside dy and over it. */
async function trainOnDevice(backend: Backend, extent: Extent): Promise<string> {
  const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32', mean: 3 });
  const shape = [extent.outer, extent.channels, extent.inner];
  const { device, dispose } = bound(await backend.prepare({ extent, dtype: 'float32' }));
  const tensors = await Promise.all([x, dy].map((data) => backend.upload({ data, shape })));
  const [there, upstream] = tensors as [DeviceTensor, DeviceTensor];
  const forward = await device.forwardTraining({ x: there, y: undefined, gamma, beta, epsilon, requireFinite: true });
  const backward = (dx: DeviceTensor | undefined) =>
    device.backwardTraining({
      saved: forward.saved,
      dy: upstream,
      dx,
      dgamma: undefined,
      dbeta: undefined,
      parameterGradients: true,
    });
  const [beside, over] = [await backward(undefined), await backward(upstream)];
  const results = [forward.y, ...Object.values(beside), ...Object.values(over)];
  const digest = createHash('sha1');
  for (const value of results) digest.update(bytesOf(await value.read()));
  for (const one of [...tensors, ...results, forward.saved, forward.moments]) one.dispose();
  dispose();
  return digest.digest('hex');
}

/** The device's operations of kernels, and what frees them. */
function bound(kernels: Kernels) {
  return { device: operationsOf(kernels.device!), dispose: () => kernels.dispose() };
}

/** A pool of one worker beside this thread, whose kernels the test has made. */
async function poolOf(kernels: Partial<PoolExports>): Promise<WorkerPool> {
  const bytes = Uint8Array.from(atob(modules.threaded), (character) => character.charCodeAt(0));
  const memory = new LinearMemory(new MemoryBudget(1 << 20), true);
  const all = { perform: () => 0, dispatch: () => 0, isDone: () => 1, redo: () => undefined, ...kernels };
  return WorkerPool.start(all, await WebAssembly.compile(bytes), memory.memory, 1);
}

describe('a call at once', () => {
  it('gives the bits of an awaited one, on any number of threads', async () => {
    const extent = { outer: 700, channels: 200, inner: 1 };
    const shape = [extent.outer, extent.channels];
    const { x, dy } = seededBatch(extent, { dtype: 'float32', mean: 3 });
    const reference = await createWasmBackend({ threads: 1 });
    const awaited = new BatchNorm({ backend: reference, numFeatures: extent.channels });
    const y = await awaited.forward({ data: x, shape });
    const { dx } = await awaited.backward({ data: dy, shape });
    for (const threads of [1, 2, 3, 4]) {
      const backend = await createWasmBackend({ threads });
      const [there, upstream] = [x, dy].map((data) => backend.upload({ data, shape }) as DeviceTensor);
      const layer = new BatchNorm({ backend, numFeatures: extent.channels });
      for (let again = 0; again < 20; again++) {
        const received = layer.sync.forward(there!);
        const gradients = layer.sync.backward(upstream!);
        expect(Buffer.compare(bytesOf(received.view!()), bytesOf(y.data))).toBe(0);
        expect(Buffer.compare(bytesOf(gradients.dx.view!()), bytesOf(dx.data))).toBe(0);
        for (const result of [received, gradients.dx, gradients.dgamma, gradients.dbeta]) result.dispose();
      }
      await backend.dispose();
    }
    await reference.dispose();
  });

  it('stays awake for a thread that is late', async () => {
    let asked = 0;
    const pool = await poolOf({ isDone: () => Number(++asked >= 5) });
    pool.synchronously(() => expect(pool.parallelFor(0, 0, 1, 2)).toBeUndefined());
    expect(asked).toBe(5);
    expect(pool.parallelFor(0, 0, 1, 2)).toBeInstanceOf(Promise);
    await pool.dispose();
  });

  it('is DEVICE_LOST when a thread does not answer, and so is every later call, until a new backend', async () => {
    const pool = await poolOf({ isDone: () => 0 });
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    const call = () => pool.synchronously(() => pool.parallelFor(0, 0, 1, 2));
    await expectCode('DEVICE_LOST', call, /received no answer from a thread .+, expected one/);
    expect(now).toBeLessThan(10_000);
    await expectCode('DEVICE_LOST', () => pool.parallelFor(0, 0, 1, 2));
    await expectCode('DEVICE_LOST', () => pool.assertUsable());
    await pool.dispose();
  });

  it('after a lost thread the backend takes no call, of any size', async () => {
    const backend = await createWasmBackend({ threads: 2 });
    const lost = new BatchNormError('DEVICE_LOST', 'received no answer, expected one');
    vi.spyOn(WorkerPool.prototype, 'assertUsable').mockImplementation(() => {
      throw lost;
    });
    const layer = new BatchNorm({ backend, numFeatures: 2 });
    const x = { data: new Float32Array(4), shape: [2, 2] };
    await expectCode('DEVICE_LOST', () => layer.sync.forward(x));
    await expectCode('DEVICE_LOST', () => layer.forward(x));
    await expectCode('DEVICE_LOST', () => backend.upload(x));
    await backend.dispose();
  });

  it('that has failed leaves awaited calls asynchronous', async () => {
    const pool = await poolOf({ isDone: () => 1 });
    const fail = () => {
      throw new Error('within');
    };
    expect(() => pool.synchronously(fail)).toThrow('within');
    const running = pool.parallelFor(0, 0, 1, 2);
    expect(running).toBeInstanceOf(Promise);
    await running;
    await pool.dispose();
  });
});

describe('dispose() during a call', () => {
  it('waits for tasks that have begun, and no others begin', async () => {
    let asked = 0;
    const dispatch = vi.fn(() => 0);
    const pool = await poolOf({ dispatch, isDone: () => Number(++asked === 5) });
    const begun = pool.parallelFor(0, 0, 1, 2);
    const end = pool.dispose();
    await begun;
    expect(asked).toBe(5);
    await expectCode('DISPOSED', () => pool.parallelFor(0, 0, 1, 2), /received .+, expected .+/);
    expect(dispatch).toHaveBeenCalledTimes(1);
    await end;
  });

  it('is DISPOSED with y as it was, or the call was done before', async () => {
    const extent = { outer: 32_768, channels: 64, inner: 1 };
    const shape = [extent.outer, extent.channels];
    const { x: data, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32', mean: 3 });
    let want: Uint8Array | undefined;
    for (let attempt = 0; attempt < 10; attempt++) {
      const backend = await createWasmBackend({ threads: 4 });
      const kernels = await backend.prepare({ extent, dtype: 'float32' });
      const device = operationsOf(kernels.device!);
      const [x, y] = [await backend.upload({ data, shape }), await backend.upload({ data, shape })];
      const input = { x, y, gamma, beta, epsilon, requireFinite: true };
      if (want === undefined) {
        await device.forwardTraining(input);
        want = bytesOf(await y.read());
        y.view!().set(data);
      }
      // So many threads are not at work at once: the calling one waits for one that has begun.
      const call = Promise.resolve(device.forwardTraining(input));
      const end = backend.dispose();
      const outcome = await call.then(
        () => 'done' as const,
        (error) => {
          expect(error).toMatchObject({ code: 'DISPOSED' });
          return 'disposed' as const;
        },
      );
      await end;
      expect(Buffer.compare(bytesOf(await y.read()), outcome === 'done' ? want : bytesOf(data))).toBe(0);
    }
  });
});

describe('a process', () => {
  it('ends with workers that nobody disposed', async () => {
    const program = `
      const { createWasmBackend } = await import('@batchnorm/backend-wasm');
      const backend = await createWasmBackend({ threads: 3 });
      const data = new Float32Array(200_000).fill(1);
      backend.upload({ data, shape: [1000, 200] });
      console.log(backend.execution.threads);`;
    const node = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 120_000 });
    expect((await node).stdout).toBe('3\n');
  });
});
