// A device that goes away, and memory: what calls answer, that a layer's state survives, and that steps need no more.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import { expect, it } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { describeHere, ownDevice } from './here.js';

await describeHere(() => {
  const { x, dy } = batchOf([24, 8]);

  it('a lost device is DEVICE_LOST for every call, state stays, and a new backend carries on', async () => {
    const device = await ownDevice();
    const backend = await createWebGpuBackend({ device });
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    await layer.forward(x);
    const tensor = await backend.upload(x);
    const state = await layer.state();
    device.destroy();
    await device.lost;
    await expectCode('DEVICE_LOST', () => layer.forward(x), /lost/);
    await expectCode('DEVICE_LOST', () => layer.forward(tensor));
    await expectCode('DEVICE_LOST', () => layer.backward(dy));
    await expectCode('DEVICE_LOST', () => backend.upload(x));
    await expectCode('DEVICE_LOST', () => tensor.read());
    expect(await layer.state()).toEqual(state);
    tensor.dispose();
    await layer.dispose();
    await backend.dispose();
    const next = await createWebGpuBackend();
    const successor = new BatchNorm({ backend: next, numFeatures: 8 });
    successor.loadState(state);
    await successor.forward(x);
    expect((await successor.state()).batchesTracked).toBe(2);
    await successor.dispose();
    await next.dispose();
  });

  it('a device that is lost under calls fails them, and none hangs', async () => {
    const device = await ownDevice();
    const backend = await createWebGpuBackend({ device });
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    const calls = Array.from({ length: 8 }, () => layer.forward(x));
    device.destroy();
    const outcomes = await Promise.allSettled(calls);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'DEVICE_LOST' });
    }
    expect((await layer.state()).batchesTracked).toBe(outcomes.filter(({ status }) => status === 'fulfilled').length);
    await layer.dispose();
    await backend.dispose();
  });

  it('every call after dispose() is DISPOSED, and dispose() again does nothing', async () => {
    const backend = await createWebGpuBackend();
    const tensor = await backend.upload(x);
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    await backend.dispose();
    await backend.dispose();
    await expectCode('DISPOSED', () => backend.upload(x));
    await expectCode('DISPOSED', () =>
      backend.prepare({ extent: { outer: 2, channels: 2, inner: 1 }, dtype: 'float32' }),
    );
    await expectCode('DISPOSED', () => layer.forward(x));
    await expectCode('DISPOSED', () => tensor.read());
    await expectCode('DISPOSED', () => backend.empty([2, 2], 'float32'));
  });

  it('2,000 steps make no buffer after the first few, on the device and from host arrays', async () => {
    const device = await ownDevice();
    let made = 0;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      made++;
      return createBuffer(descriptor);
    };
    const backend = await createWebGpuBackend({ device });
    const layer = new BatchNorm({ backend, numFeatures: 8, activation: 'relu' });
    const onDevice = { x: await backend.upload(x), dy: await backend.upload(dy) };
    const step = async () => {
      const y = await layer.forward(onDevice.x);
      const { dx, dgamma, dbeta } = await layer.backward(onDevice.dy);
      for (const one of [y, dx, dgamma, dbeta]) one.dispose();
    };
    for (let n = 0; n < 20; n++) await step();
    await layer.settle();
    const [before, bytes] = [made, backend.allocatedBytes!()];
    for (let n = 0; n < 2000; n++) {
      await step();
      if (n % 100 === 0) await layer.settle();
    }
    await layer.settle();
    for (let n = 0; n < 20; n++) {
      await layer.forward(x);
      await layer.backward(dy);
    }
    expect(made - before).toBeLessThan(250);
    (await layer.forward(onDevice.x)).dispose();
    expect(backend.allocatedBytes!() - bytes).toBeLessThan(10_000);
    await layer.dispose();
    for (const one of Object.values(onDevice)) one.dispose();
    expect(backend.allocatedBytes!()).toBe(0);
    await backend.dispose();
    device.destroy();
  });

  it('memory that the device has not is LIMIT_EXCEEDED: nothing has changed, nothing is left, and the next call works', async () => {
    const device = await ownDevice();
    const backend = await createWebGpuBackend({ device });
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    await layer.forward(x);
    const [state, bytes] = [await layer.state(), backend.allocatedBytes!()];
    const popErrorScope = device.popErrorScope.bind(device);
    const createBuffer = device.createBuffer.bind(device);
    const made: GPUBuffer[] = [];
    // What there is no room for is of no use afterwards.
    device.createBuffer = (descriptor) => {
      made.push(createBuffer(descriptor));
      made.at(-1)!.destroy();
      return made.at(-1)!;
    };
    // Of the two scopes of a call, the inner one is about memory.
    let asked = 0;
    device.popErrorScope = async () => {
      const error = await popErrorScope();
      return asked++ % 2 === 0 ? ({ message: 'no room' } as GPUError) : error;
    };
    const large = batchOf([4096, 8]).x;
    await expectCode('LIMIT_EXCEEDED', () => layer.forward(large), /no room/);
    device.popErrorScope = popErrorScope;
    device.createBuffer = createBuffer;
    expect(await layer.state()).toEqual(state);
    expect(backend.allocatedBytes!()).toBe(bytes);
    expect(made.length).toBeGreaterThan(0);
    await layer.forward(large);
    expect((await layer.state()).batchesTracked).toBe(2);
    await layer.dispose();
    await backend.dispose();
    device.destroy();
  });

  it('more than a buffer can hold is LIMIT_EXCEEDED', async () => {
    const backend = await createWebGpuBackend();
    const { elements } = backend.capabilities.limits;
    const buffer = backend.device.createBuffer({ size: 256, usage: 0x80 | 4 | 8 });
    await expectCode('LIMIT_EXCEEDED', () => backend.wrap(buffer, [elements + 1, 1]));
    await expectCode('LIMIT_EXCEEDED', () => backend.empty([elements + 1, 1], 'float32'));
    await backend.dispose();
  });
});
