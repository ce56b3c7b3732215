// Threads: the same bits however many there are, an error when one dies, and no process that they keep alive.
import { execFile } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { seededBatch } from '@batchnorm/conformance';
import { BatchNorm, type Dtype, type Extent } from '@batchnorm/core-api';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { expectCode } from './expect-code.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const extents: Extent[] = [
  { outer: 700, channels: 200, inner: 1 },
  { outer: 1100, channels: 77, inner: 1 },
  // Rows of more than 1 kB, which are added up in places far apart.
  { outer: 1300, channels: 300, inner: 1 },
  { outer: 5, channels: 70, inner: 400 },
  { outer: 100_000, channels: 3, inner: 1 },
];

async function train(threads: number, extent: Extent, dtype: Dtype, onDevice: boolean) {
  const backend = await createWasmBackend({ threads });
  expect(backend.execution.threads).toBe(threads);
  const { x, dy, gamma, beta } = seededBatch(extent, { dtype, mean: 3 });
  const shape = [extent.outer, extent.channels, extent.inner];
  const layer = new BatchNorm({ backend, numFeatures: extent.channels, dtype });
  layer.gamma.set(gamma);
  layer.beta.set(beta);
  const place = async (data: typeof x) => (onDevice ? backend.upload({ data, shape }) : { data, shape });
  const results = [];
  for (const training of [true, false]) {
    const y = await layer.forward((await place(x)) as never, { training });
    const { dx, dgamma, dbeta } = await layer.backward((await place(dy)) as never);
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
  it.each(['float32', 'float64'] as const)('%s results are the same bits on 1, 2 and 3 threads', async (dtype) => {
    const want = await train(1, extent, dtype, false);
    for (const threads of [1, 2, 3]) {
      for (const onDevice of [true, false]) {
        const got = await train(threads, extent, dtype, onDevice);
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
  const [extent] = extents as [Extent];
  const shape = [extent.outer, extent.channels];
  const { x, dy } = seededBatch(extent, { dtype: 'float32' });

  it('is DEVICE_LOST from the next call on, and a new backend carries on from the state', async () => {
    const { backend, workers } = await backendWithWorkers(3);
    expect(workers).toHaveLength(2);
    const layer = new BatchNorm({ backend, numFeatures: extent.channels });
    await layer.forward({ data: x, shape });
    const state = await layer.state();
    await workers[0]!.terminate();
    await expectCode('DEVICE_LOST', () => layer.forward({ data: x, shape }), /received .+, expected .+/);
    await expectCode('DEVICE_LOST', () => layer.backward({ data: dy, shape }));
    await expectCode('DEVICE_LOST', () => backend.upload({ data: x, shape }));
    expect(await layer.state()).toEqual(state);
    await backend.dispose();
    await expectCode('DISPOSED', () => layer.forward({ data: x, shape }));

    const next = await createWasmBackend({ threads: 2 });
    const heir = new BatchNorm({ backend: next, numFeatures: extent.channels });
    await heir.loadState(state);
    await heir.forward({ data: x, shape });
    await next.dispose();
  });

  it('in the middle of its work is no hang', async () => {
    const { backend, workers } = await backendWithWorkers(2);
    const layer = new BatchNorm({ backend, numFeatures: extent.channels });
    for (let step = 0; step < 20; step++) await layer.forward({ data: x, shape });
    void workers[0]!.terminate();
    const attempts = async () => {
      for (let step = 0; step < 10_000; step++) {
        await layer.forward({ data: x, shape });
        // A process that never lets the event loop run learns of nothing.
        if (step % 10 === 0) await setImmediate();
      }
    };
    await expectCode('DEVICE_LOST', attempts);
    await backend.dispose();
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
