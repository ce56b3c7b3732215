// What the backend says of itself, what it refuses, and what it leaves on the device.
import {
  BatchNorm,
  type DeviceTensor,
  type Kernels,
  type Memory,
  operationsOf,
  type Stages,
  type Tensor,
} from '@batchnorm/core-api';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import * as gpujs from 'gpu.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { DeviceArray } from '../src/device-array.js';
import { GpuContext } from '../src/gpu-context.js';
import { createGpuJsBackend, gpuJsModes } from '../src/index.js';
import { countDeviceMemory } from './device-memory.js';
import { describeModes, inBrowser, modesHere } from './modes.js';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('createGpuJsBackend', () => {
  it('refuses options that do not exist', async () => {
    await expectCode('INVALID_OPTION', () => createGpuJsBackend({ mode: 'cuda' as never }), /mode 'cuda'/);
    await expectCode('INVALID_OPTION', () => createGpuJsBackend({ strict: 1 as never }), /strict 1,/);
    await expectCode('INVALID_OPTION', () => createGpuJsBackend({ threads: 2 } as never), /option 'threads'/);
    for (const options of [5, null, 'cpu']) {
      await expectCode('INVALID_OPTION', () => createGpuJsBackend(options as never), /an object of options/);
    }
  });

  it('is BACKEND_UNAVAILABLE, with the reason, for a mode of another platform', () =>
    expectCode(
      'BACKEND_UNAVAILABLE',
      () => createGpuJsBackend({ mode: inBrowser ? 'headlessgl' : 'webgl2' }),
      /it needs/,
    ));

  it('auto takes the first mode that works, and keeps why the ones before it do not', async () => {
    const backend = await createGpuJsBackend();
    const before = gpuJsModes.slice(0, gpuJsModes.indexOf(backend.mode));
    expect(modesHere).toContain(backend.mode);
    expect(backend.rejected.map(({ mode }) => mode)).toEqual(before);
    for (const { reason } of backend.rejected) expect(reason).toMatch(/it needs .+/);
    await backend.dispose();
  });

  it('is BACKEND_FELL_BACK when gpu.js runs a kernel elsewhere, unless strict is off', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {});
    const source = { width: 2, height: 1, text: 'function (values) { return values[this.thread.x]; }' };
    // gpu.js degrades webasm kernels to its cpu mode for arguments that are images or textures.
    const texture = { type: 'NumberTexture', output: [2], toArray: () => Float32Array.of(1, 2) } as never;
    const strict = new GpuContext('webasm', true);
    await expectCode(
      'BACKEND_FELL_BACK',
      () => strict.compile(source).run(texture),
      /mode 'cpu'.*expected mode 'webasm'/,
    );
    const lenient = new GpuContext('webasm', false);
    const execution = lenient.execution('float32');
    expect(execution.fallbackReason).toBeNull();
    await lenient
      .compile(source)
      .run(texture)
      .catch(() => undefined);
    expect(execution.fallbackReason).toMatch(/mode 'cpu'/);
  });
});

await describeModes(modesHere, (mode, create) => {
  const onHost = mode === 'cpu' || mode === 'webasm';

  it('says what runs', async () => {
    const backend = await create();
    expect(backend.mode).toBe(mode);
    expect(backend.execution.engine).toMatch(/^gpu\.js /);
    expect(backend.execution.device).not.toBe('');
    expect(backend.execution.threads).toBeGreaterThanOrEqual(1);
    expect(backend.execution.fallbackReason).toBeNull();
    await backend.dispose();
  });

  it('refuses float64 with DTYPE_MISMATCH, and more than it can hold with LIMIT_EXCEEDED before anything runs', async () => {
    const backend = await create();
    const { elements } = backend.capabilities.limits;
    await expectCode('DTYPE_MISMATCH', () => new BatchNorm({ backend, numFeatures: 2, dtype: 'float64' }), /float64/);
    await expectCode('DTYPE_MISMATCH', () => backend.upload({ data: new Float64Array(2), shape: [1, 2] }), /float32/);
    const run = vi.spyOn(GpuContext.prototype, 'guard');
    const tooMany = { data: new Float32Array(elements + 2), shape: [elements / 2 + 1, 2] };
    await expectCode('LIMIT_EXCEEDED', () => backend.upload(tooMany), /expected at most/);
    await expectCode('LIMIT_EXCEEDED', () => new BatchNorm({ backend, numFeatures: 2 }).forward(tooMany));
    const wide = { data: new Float32Array(elements), shape: [1, elements] };
    await expectCode('LIMIT_EXCEEDED', () => new BatchNorm({ backend, numFeatures: elements }).forward(wide));
    expect(run).not.toHaveBeenCalled();
    await backend.dispose();
  });

  it('holds a tensor without elements', async () => {
    const backend = await create();
    const nothing = await backend.upload({ data: new Float32Array(0), shape: [0, 2] });
    expect([await nothing.read(), nothing.shape]).toEqual([new Float32Array(0), [0, 2]]);
    const layer = new BatchNorm({ backend, numFeatures: 2, emptyBatch: 'pass' });
    expect((await layer.forward(nothing)).shape).toEqual([0, 2]);
    await backend.dispose();
  });

  it('answers every call after dispose() with DISPOSED', async () => {
    const backend = await create();
    const { x } = batchOf([4, 3]);
    const layer = new BatchNorm({ backend, numFeatures: 3 });
    const tensor = await backend.upload(x);
    await backend.dispose();
    await backend.dispose();
    await expectCode('DISPOSED', () => backend.upload(x));
    await expectCode('DISPOSED', () => layer.forward(x));
    await expectCode('DISPOSED', () => tensor.read());
  });

  describe('device tensors', () => {
    it('give what the host gives, bit for bit, and wait for no readback until somebody reads', async () => {
      const backend = await create();
      const batch = batchOf([40, 6, 5]);
      const [onHostLayer, layer] = [0, 1].map(() => new BatchNorm({ backend, numFeatures: 6 })) as [
        BatchNorm,
        BatchNorm,
      ];
      const wanted = { y: await onHostLayer.forward(batch.x), ...(await onHostLayer.backward(batch.dy)) };
      const read = vi.spyOn(DeviceArray.prototype, 'read');
      const [x, dy] = [await backend.upload(batch.x), await backend.upload(batch.dy)];
      const y = await layer.forward(x);
      const { dx, dgamma, dbeta } = await layer.backward(dy);
      // Where results are on the host anyway, they are looked at there.
      if (!onHost) expect(read).not.toHaveBeenCalled();
      expect(await y.read()).toEqual(wanted.y.data);
      expect(await dx.read()).toEqual(wanted.dx.data);
      expect(await dgamma.read()).toEqual(wanted.dgamma);
      expect(await dbeta.read()).toEqual(wanted.dbeta);
      expect(await layer.state()).toEqual(await onHostLayer.state());
      await backend.dispose();
    });

    it('work in inference, forward and backward', async () => {
      const backend = await create();
      const batch = batchOf([40, 6], { mean: 3 });
      const layer = new BatchNorm({ backend, numFeatures: 6 });
      await layer.forward(batch.x);
      const wanted = { y: await layer.forward(batch.x, { training: false }), ...(await layer.backward(batch.dy)) };
      const y = await layer.forward(await backend.upload(batch.x), { training: false });
      const { dx, dgamma } = await layer.backward(await backend.upload(batch.dy));
      expect(await y.read()).toEqual(wanted.y.data);
      expect(await dx.read()).toEqual(wanted.dx.data);
      expect(await dgamma.read()).toEqual(wanted.dgamma);
      await backend.dispose();
    });

    it('are copies of what was uploaded, share memory with the host where there is no other, and end with dispose()', async () => {
      const backend = await create();
      const { x } = batchOf([4, 3]);
      const tensor = await backend.upload(x);
      const before = x.data.slice();
      x.data.fill(7);
      expect(await tensor.read()).toEqual(before);
      expect(tensor.view?.()).toEqual(onHost ? before : undefined);
      tensor.dispose();
      tensor.dispose();
      expect(tensor.disposed).toBe(true);
      await expectCode('DISPOSED', () => tensor.read());
      await backend.dispose();
    });

    it('may be given as out, and as dy and dx at once', async () => {
      const backend = await create();
      const batch = batchOf([20, 4]);
      const exact = exactOf(batch);
      const layer = new BatchNorm({ backend, numFeatures: 4 });
      const [x, out, dy] = [
        await backend.upload(batch.x),
        await backend.upload(batch.dy),
        await backend.upload(batch.dy),
      ];
      expect(await layer.forward(x, { out })).toBe(out);
      expect((await layer.backward(dy, { out: { dx: dy } })).dx).toBe(dy);
      expect(largestError(await out.read(), exact.y)).toBeLessThan(1e-6);
      expect(largestError(await dy.read(), exact.dx)).toBeLessThan(1e-6);
      await backend.dispose();
    });

    it('are known by what nobody can forge, and their shape is a copy that nobody can change', async () => {
      const [backend, other] = [await create(), await create()];
      const batch = batchOf([20, 4]);
      const layer = new BatchNorm({ backend, numFeatures: 4 });
      const shape = [20, 4];
      const x = await backend.upload({ data: batch.x.data, shape });
      shape[0] = 40;
      expect(x.shape).toEqual([20, 4]);
      expect(() => Object.assign(x.shape, { 0: 40 })).toThrow(TypeError);
      expect(() => Object.assign(x, { shape: [40, 4] })).toThrow(TypeError);

      const like = (tensor: DeviceTensor) => ({ backend, dtype: tensor.dtype, shape: [20, 4], disposed: false });
      const foreign = await other.upload(batch.x);
      const forged = [
        { ...like(x), read: () => batch.x.data, dispose() {} },
        Object.create(x, { shape: { value: [20, 4] } }),
        new Proxy(x, {}),
        Object.create(foreign, { backend: { value: backend } }),
      ] as DeviceTensor[];
      const y = await layer.forward(x);
      for (const tensor of forged) {
        await expectCode('FOREIGN_TENSOR', () => layer.forward(tensor));
        await expectCode('FOREIGN_TENSOR', () => layer.forward(x, { out: tensor }));
        await expectCode('FOREIGN_TENSOR', () => layer.forward(tensor, { training: false }));
        await expectCode('FOREIGN_TENSOR', () => layer.backward(tensor));
        await expectCode('FOREIGN_TENSOR', () => layer.backward(y, { out: { dx: tensor } }));
      }
      expect(largestError(await y.read(), exactOf(batch).y)).toBeLessThan(1e-6);
      await backend.dispose();
      await other.dispose();
    });

    it('of a gradient that are given as out receive it, and are refused when they can not', async () => {
      const backend = await create();
      const batch = batchOf([20, 4]);
      const exact = exactOf(batch);
      const layer = new BatchNorm({ backend, numFeatures: 4 });
      const [x, dy] = [await backend.upload(batch.x), await backend.upload(batch.dy)];
      const narrow = new BatchNorm({ backend, numFeatures: 1 });
      await narrow.forward(await backend.upload(batchOf([5, 1]).x));
      const one = await narrow.backward(await backend.upload(batchOf([5, 1]).dy));
      await layer.forward(x);
      const { dgamma, dbeta } = await layer.backward(dy);
      const again = await layer.backward(dy, { out: { dgamma, dbeta } });
      expect(again.dgamma).toBe(dgamma);
      expect(again.dbeta).toBe(dbeta);
      const forged = { read: () => new Float64Array(4), dispose() {} };
      for (const wrong of [forged, Object.create(dgamma), one.dgamma]) {
        await expectCode('INVALID_TENSOR', () => layer.backward(dy, { out: { dgamma: wrong } }));
        await expectCode('INVALID_TENSOR', () => layer.backward(dy, { out: { dbeta: wrong } }));
      }
      dbeta.dispose();
      await expectCode('DISPOSED', () => layer.backward(dy, { out: { dgamma, dbeta } }));
      expect(largestError(await dgamma.read(), exact.dgamma)).toBeLessThan(1e-5);
      await expectCode('DISPOSED', () => dbeta.read());
      await backend.dispose();
    });

    it('outlive the layer that made them, and uploads of many other lengths', async () => {
      const backend = await create();
      const tensors = await Promise.all(
        Array.from({ length: 20 }, (_, n) => {
          const shape = [n + 1, 1];
          return backend.upload({ data: new Float32Array(n + 1).fill(n), shape });
        }),
      );
      const batch = batchOf([6, 3]);
      const layer = new BatchNorm({ backend, numFeatures: 3 });
      const y = await layer.forward(await backend.upload(batch.x));
      await layer.dispose();
      expect(largestError(await y.read(), exactOf(batch).y)).toBeLessThan(1e-6);
      for (const [n, tensor] of tensors.entries()) {
        expect(await tensor.read()).toEqual(new Float32Array(n + 1).fill(n));
      }
      await backend.dispose();
    });

    it('of 500 training steps leave nothing behind, and compile nothing after the first', async () => {
      const memory = countDeviceMemory();
      const builds = countBuilds();
      const backend = await create();
      const batch = batchOf([12, 5]);
      const layer = new BatchNorm({ backend, numFeatures: 5 });
      const [x, dy] = [await backend.upload(batch.x), await backend.upload(batch.dy)];
      const step = async () => {
        const y = await layer.forward(x);
        const { dx, dgamma, dbeta } = await layer.backward(dy);
        for (const result of [y, dx, dgamma, dbeta]) result.dispose();
      };
      for (let n = 0; n < 100; n++) await step();
      const [live, built] = [memory.live(), builds()];
      if (!onHost) expect(live).toBeGreaterThan(0);
      expect(built).toBeGreaterThan(5);
      for (let n = 0; n < 400; n++) await step();
      // As many as wait for their turn in the running statistics may come and go.
      expect(memory.live()).toBeLessThanOrEqual(live + 64);
      await layer.settle();
      expect(memory.live()).toBeLessThanOrEqual(live);
      expect(builds()).toBe(built);
      expect(layer.batchesTracked).toBe(500);
      await backend.dispose();
      memory.restore();
    });
  });

  it('computes no gradient of parameters that nobody asks for, and the same dx', async () => {
    const backend = await create();
    const { x, dy, extent } = batchOf([20, 4, 3]);
    const kernels = (await backend.prepare({ extent, dtype: 'float32' })) as Kernels;
    const [gamma, beta] = [new Float64Array(4).fill(2), new Float64Array(4)];
    const [mean, variance] = [new Float64Array(4), new Float64Array(4).fill(0.5)];
    for (const memory of ['host', 'device'] as const) {
      const operations = operationsOf((memory === 'host' ? kernels : kernels.device!) as unknown as Stages<Memory>);
      const put = (tensor: Tensor) => (memory === 'host' ? tensor.data : backend.upload(tensor));
      const input = { x: await put(x), gamma, beta, epsilon: 1e-5, y: undefined };
      const passes = [
        [await operations.forwardTraining({ ...input, requireFinite: true }), operations.backwardTraining],
        [await operations.forwardInference({ ...input, mean, variance }), operations.backwardInference],
      ] as const;
      for (const [{ saved }, backward] of passes) {
        const given = { dx: undefined, dgamma: undefined, dbeta: undefined };
        const step = async (parameterGradients: boolean) => {
          const at = await put(dy);
          const guard = vi.spyOn(GpuContext.prototype, 'guard');
          const { dx } = await backward.call(operations, { ...given, saved, dy: at, parameterGradients });
          const calls = guard.mock.calls.length;
          guard.mockRestore();
          return { dx: 'read' in dx ? await dx.read() : dx.slice(), calls };
        };
        const [all, less] = [await step(true), await step(false)];
        expect(less.dx).toEqual(all.dx);
        // Two kernels fewer: sums of blocks, and of sums; and on the host a table that nobody reads.
        if (backward === operations.backwardInference) expect(all.calls - less.calls).toBeGreaterThanOrEqual(2);
      }
    }
    await backend.dispose();
  });

  it('non-finite statistics are refused, with out untouched, and NaN stays in its channel where they are not', async () => {
    const backend = await create();
    const { x, dy } = batchOf([30, 4]);
    const bad = { ...x, data: x.data.slice() };
    bad.data[5] = Number.NaN;
    const layer = new BatchNorm({ backend, numFeatures: 4 });
    await layer.forward(x);
    const [state, gradients] = [await layer.state(), await layer.backward(dy)];
    const out = { data: new Float32Array(120).fill(7), shape: [30, 4] };
    await expectCode('NON_FINITE_STATISTICS', () => layer.forward(bad, { out }), /channel 1 is NaN/);
    expect(out.data).toEqual(new Float32Array(120).fill(7));
    expect(await layer.state()).toEqual(state);
    expect(await layer.backward(dy)).toEqual(gradients);

    const free = new BatchNorm({ backend, numFeatures: 4, trackRunningStatistics: false });
    const clean = await free.forward(x);
    const poisoned = await free.forward(bad);
    for (let k = 0; k < 120; k++) {
      if (k % 4 === 1) expect(poisoned.data[k]).toBeNaN();
      else expect(poisoned.data[k]).toBe(clean.data[k]);
    }
    await backend.dispose();
  });

  it('two layers that come and go on one backend do not disturb each other', async () => {
    const backend = await create();
    const [a, b] = [batchOf([9, 4, 3]), batchOf([9, 4, 3], { seed: 2 })];
    const exact = exactOf(a);
    for (let round = 0; round < 3; round++) {
      const [first, second] = [0, 1].map(() => new BatchNorm({ backend, numFeatures: 4 })) as [BatchNorm, BatchNorm];
      const [y] = await Promise.all([first.forward(a.x), second.forward(b.x)]);
      expect(largestError(y.data, exact.y)).toBeLessThan(1e-6);
      await second.dispose();
      expect(largestError((await first.backward(a.dy)).dx.data, exact.dx)).toBeLessThan(1e-6);
      await first.dispose();
    }
    await backend.dispose();
  });
});

/** How many kernels gpu.js has built since, in whatever mode. It calls `build` for every run, and then looks. */
function countBuilds(): () => number {
  let count = 0;
  const prototypes = Object.values(gpujs).flatMap((value) => (typeof value === 'function' ? [value.prototype] : []));
  for (const prototype of new Set(prototypes)) {
    if (!Object.hasOwn(prototype ?? {}, 'build')) continue;
    const { build } = prototype;
    vi.spyOn(prototype, 'build').mockImplementation(function (this: gpujs.Kernel, ...args) {
      if (!this.built) count++;
      return build.apply(this, args);
    });
  }
  return () => count;
}
