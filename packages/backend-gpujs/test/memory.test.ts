// What is let go, by `dispose()`, by nobody holding it any more, or by a call that fails, and what there is no room
// for.
import {
  BatchNorm,
  type BatchNormError,
  type Kernels,
  type Memory,
  operationsOf,
  type Stages,
} from '@batchnorm/core-api';
import { batchOf } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import * as gpujs from 'gpu.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GpuContext, maxKernels } from '../src/gpu-context.js';
import type { GpuJsBackend } from '../src/index.js';
import { describeModes, modesHere } from './modes.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const collect = garbageCollector();

await describeModes(modesHere, (mode, create) => {
  it('kernels leave the list of gpu.js when their layer is disposed', async () => {
    const gpus = gpusMade();
    const backend = await create();
    const layer = new BatchNorm({ backend, numFeatures: 3 });
    await layer.forward(batchOf([5, 3]).x);
    await layer.backward(batchOf([5, 3]).dy);
    const [gpu] = gpus;
    const ofOneExtent = gpu!.kernels.length;
    expect(ofOneExtent).toBeGreaterThan(5);
    for (let N = 1; N <= 12; N++) await layer.forward(batchOf([N, 3]).x);
    // Those of eight extents are kept, and on devices some that upload.
    expect(gpu!.kernels.length).toBeLessThan(9 * ofOneExtent + 9);
    await layer.dispose();
    expect(gpu!.kernels.length).toBeLessThan(9);
    await backend.dispose();
  });

  it.skipIf(collect === undefined)(
    'layers, tensors, gradients and statistics that nobody holds are freed',
    async () => {
      const gpus = gpusMade();
      const backend = await create();
      const use = async (seed: number) => {
        const { x, dy } = batchOf([40, 3], { seed });
        const layer = new BatchNorm({ backend, numFeatures: 3, trackRunningStatistics: seed % 2 === 0 });
        await layer.forward(x);
        await layer.backward(dy);
        const y = await layer.forward(await backend.upload(x));
        await layer.backward(y);
      };
      await use(0);
      await released(() => backend.allocatedBytes!() === 0);
      const kernels = gpus[0]!.kernels.length;
      for (let seed = 1; seed < 6; seed++) await use(seed);
      expect(backend.allocatedBytes!()).toBeGreaterThan(0);
      await released(() => backend.allocatedBytes!() === 0);
      expect(backend.allocatedBytes!()).toBe(0);
      expect(gpus[0]!.kernels.length).toBe(kernels);
      await backend.dispose();
    },
  );

  it.skipIf(collect === undefined)('what somebody holds stays, whatever became of its layer', async () => {
    const backend = await create();
    const { x, dy } = batchOf([40, 3]);
    const [y, want] = await (async () => {
      const layer = new BatchNorm({ backend, numFeatures: 3 });
      const want = await layer.forward(x);
      await layer.backward(dy);
      return [await layer.forward(await backend.upload(x)), want];
    })();
    const before = backend.allocatedBytes!();
    await released(() => backend.allocatedBytes!() < before);
    for (let n = 0; n < 3; n++) await released(() => true);
    expect(await y.read()).toEqual(want.data);
    await backend.dispose();
  });

  describe('a call that fails at any of its kernels leaves nothing behind,', () => {
    const extent = { outer: 10, channels: 3, inner: 2 };
    const length = 60;
    const input = {
      gamma: new Float64Array(3).fill(1),
      beta: new Float64Array(3),
      epsilon: 1e-5,
      y: undefined,
      mean: new Float64Array(3),
      variance: new Float64Array(3).fill(1),
      requireFinite: true,
    };
    const buffers = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };

    for (const memory of ['host', 'device'] as const) {
      it(`on the ${memory}`, async () => {
        const backend = await create();
        const kernels = (await backend.prepare({ extent, dtype: 'float32' })) as Kernels;
        const behindRelu = (await backend.prepare({ extent, dtype: 'float32', activation: 'relu' })) as Kernels;
        const data = Float32Array.from({ length }, (_, k) => Math.sin(k));
        const x = (memory === 'host' ? data : await backend.upload({ data, shape: [10, 3, 2] })) as never;
        const stagesOf = (of: Kernels) => (memory === 'host' ? of : of.device!) as unknown as Stages<Memory>;
        const stages = stagesOf(kernels);
        const operations = operationsOf(stages);
        // One channel is beyond float32: with host memory that of g comes from the host.
        const large = data.map((value, k) => (Math.floor(k / 2) % 3 === 1 ? value * 1e30 : value));
        const masked = {
          ...input,
          x: (memory === 'host' ? large : await backend.upload({ data: large, shape: [10, 3, 2] })) as never,
          residual: x,
          mask: { positions: Uint8Array.from({ length: 20 }, (_, p) => p % 2), count: 10 },
          requireFinite: false,
        };
        const all = operationsOf(stagesOf(behindRelu));
        // Held to the end: what nobody holds is freed when the garbage collector finds it.
        const outputs = {
          ofAll: await all.forwardTraining(masked),
          ofResidual: await operations.forwardTraining({ ...input, x, residual: x }),
          plain: await operations.forwardTraining({ ...input, x }),
        };
        const { saved, moments } = outputs.plain;
        const sums = await stages.gradientSums({ saved, dy: x });
        const by = { batch: moments };
        const given = { given: { mean: input.mean, variance: input.variance } };
        const total = { dgamma: new Float64Array(3), dbeta: new Float64Array(3) };
        const calls = {
          forwardTraining: () => operations.forwardTraining({ ...input, x }),
          forwardInference: () => operations.forwardInference({ ...input, x }),
          backwardTraining: () => operations.backwardTraining({ ...buffers, saved, dy: x }),
          backwardInference: () => operations.backwardInference({ ...buffers, saved, dy: x }),
          moments: async () => ({ moments: await stages.moments({ x, epsilon: 1e-5 }) }),
          'normalize by a batch': () => stages.normalize({ ...input, x, by }),
          'normalize by given statistics': () => stages.normalize({ ...input, x, by: given }),
          gradientSums: async () => ({ sums: await stages.gradientSums({ saved, dy: x }) }),
          inputGradient: () => stages.inputGradient({ ...buffers, saved, dy: x, sums, total: sums }),
          'forwardTraining with all features': () => all.forwardTraining(masked),
          'backwardTraining with all features': () =>
            all.backwardTraining({ ...buffers, saved: outputs.ofAll.saved, dy: x }),
          'backwardTraining with a residual': () =>
            operations.backwardTraining({ ...buffers, saved: outputs.ofResidual.saved, dy: x }),
          'inputGradient of a total': () => stages.inputGradient({ ...buffers, saved, dy: x, sums, total }),
        };
        for (const [name, call] of Object.entries(calls)) {
          const before = backend.allocatedBytes!();
          const failures = await failAtEvery(call);
          expect(failures, name).toBeGreaterThan(0);
          expect(backend.allocatedBytes!(), name).toBe(before);
        }
        for (const { y } of Object.values(outputs)) expect(y).toBeDefined();
        await backend.dispose();
      });
    }
  });

  it('memory that there is no more of is LIMIT_EXCEEDED', async () => {
    const context = new GpuContext(mode, true);
    for (const message of ['Array buffer allocation failed', 'WebAssembly.Memory(): could not allocate memory']) {
      await expectCode('LIMIT_EXCEEDED', () =>
        context.guard(() => {
          throw new RangeError(message);
        }),
      );
    }
    await expect(
      context.guard(() => {
        throw new RangeError('offset is out of bounds');
      }),
    ).rejects.toThrow(RangeError);
    await context.destroy();
  });
});

describe('many kernels', () => {
  it('are LIMIT_EXCEEDED before the process dies of them, until some are disposed', async () => {
    const context = new GpuContext('cpu', true);
    const source = { width: 1, height: 1, text: 'function (values) { return values[this.thread.x]; }' };
    const values = Float32Array.of(1);
    const kernels = Array.from({ length: maxKernels }, () => context.compile(source));
    for (const kernel of kernels) (await kernel.run(values)).release();
    const another = context.compile(source);
    await expectCode('LIMIT_EXCEEDED', () => another.run(values), new RegExp(`${maxKernels}`));
    kernels[0]!.dispose();
    expect(await (await another.run(values)).read()).toEqual(values);
    await context.destroy();
  }, 60_000);

  it.skipIf(workerCount() === undefined)('of WebAssembly share their threads', async () => {
    const started = workerCount()!;
    const backend = await import('../src/index.js').then(({ createGpuJsBackend }) =>
      createGpuJsBackend({ mode: 'webasm' }),
    );
    const train = async (backend: GpuJsBackend, N: number) => {
      const { x, dy } = batchOf([N, 64]);
      const layer = new BatchNorm({ backend, numFeatures: 64 });
      const y = await layer.forward(x);
      await layer.backward(dy);
      return { layer, y };
    };
    const first = await train(backend, 128);
    const threads = started();
    expect(threads).toBeGreaterThan(0);
    for (let n = 1; n < 4; n++) await train(backend, 128 + n);
    await first.layer.dispose();
    // The threads have outlived a kernel that had used them.
    await train(backend, 128);
    expect(started()).toBe(threads);
    await backend.dispose();
  });
});

/**
 * Calls again and again, failing at the first kernel or readback, the second, …, until it succeeds. How many times it
 * failed.
 */
async function failAtEvery(call: () => unknown): Promise<number> {
  for (let failing = 0; ; failing++) {
    let count = 0;
    const original = GpuContext.prototype.guard;
    const guard = vi.spyOn(GpuContext.prototype, 'guard').mockImplementation(async function (this: GpuContext, work) {
      if (count++ === failing) throw new Error('out of luck');
      return original.call(this, work) as never;
    });
    const results = await (async () => call())().catch((error: BatchNormError) => {
      expect(error.message).toBe('out of luck');
    });
    guard.mockRestore();
    if (!results) continue;
    for (const result of Object.values(results as object)) (result as { dispose?(): void }).dispose?.();
    return failing;
  }
}

/** Every `GPU` that makes a kernel from now on. */
function gpusMade(): readonly { readonly kernels: readonly unknown[] }[] {
  const gpus: { readonly kernels: readonly unknown[] }[] = [];
  const { createKernel } = gpujs.GPU.prototype;
  vi.spyOn(gpujs.GPU.prototype, 'createKernel').mockImplementation(function (this: gpujs.GPU, ...args: unknown[]) {
    if (!gpus.includes(this as never)) gpus.push(this as never);
    return (createKernel as (...args: unknown[]) => never).apply(this, args);
  } as never);
  return gpus;
}

/** Collects garbage until `done`, or for a while. Finalizers run in turns of their own. */
async function released(done: () => boolean): Promise<void> {
  for (let n = 0; n < 50; n++) {
    collect!();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (done()) return;
  }
}

/** Where it can be called. */
function garbageCollector(): (() => void) | undefined {
  const { process } = globalThis as { process?: NodeJS.Process };
  const [v8, vm] = [process?.getBuiltinModule?.('node:v8'), process?.getBuiltinModule?.('node:vm')];
  v8?.setFlagsFromString('--expose-gc');
  return vm?.runInNewContext('gc') as (() => void) | undefined;
}

/** How many threads have been started since, in Node. */
function workerCount(): (() => number) | undefined {
  const { process } = globalThis as { process?: NodeJS.Process };
  const threads = process?.getBuiltinModule?.('node:worker_threads') as
    | { Worker: new (...args: never[]) => object }
    | undefined;
  if (threads === undefined) return undefined;
  let count = 0;
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(...args: never[]) {
      super(...args);
      count++;
    }
  };
  return () => count;
}
