// Steps in an encoder of the caller: what is recorded there and what is not, and that nothing is lost or made up, whatever
// becomes of the encoder.
import { BatchNorm, type BatchNormOptions } from '@batchnorm/core-api';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend, type WebGpuTensor } from '../src/index.js';
import { bufferOf, describeHere, ownDevice } from './here.js';

await describeHere(() => {
  let device: GPUDevice;
  let backend: WebGpuBackend;
  let layer: BatchNorm;
  let x: WebGpuTensor;
  const batch = batchOf([64, 4]);
  const exact = exactOf(batch);
  const layerOf = (options: Partial<BatchNormOptions> = {}) => new BatchNorm({ backend, numFeatures: 4, ...options });
  const submit = (encoder: GPUCommandEncoder) => device.queue.submit([encoder.finish()]);
  const errorOf = async (y: { read(): unknown }) => largestError((await y.read()) as Float32Array, exact.y);

  beforeEach(async () => {
    device = await ownDevice();
    backend = await createWebGpuBackend({ device });
    layer = layerOf();
    x = await backend.upload(batch.x);
  });

  afterEach(async () => {
    await layer.dispose();
    await backend.dispose();
    device.destroy();
  });

  it.each([
    ['one step in each of 100 encoders', 100, 1],
    ['200 steps in one encoder', 1, 200],
  ])('%s are tracked, each once', async (_what, encoders, steps) => {
    const [other, y] = [layerOf(), await backend.upload(batch.x)];
    for (let n = 0; n < encoders; n++) {
      const encoder = device.createCommandEncoder();
      await backend.encode(encoder, async () => {
        for (let step = 0; step < steps; step++) await layer.forward(x, { out: y });
      });
      submit(encoder);
      for (let step = 0; step < steps; step++) await other.forward(x, { out: y });
    }
    expect(await layer.state()).toEqual(await other.state());
    expect(layer.batchesTracked).toBe(encoders * steps);
    await other.dispose();
  });

  it('what is recorded can be read after the submission alone, and statistics wait for it; other tensors at any time', async () => {
    await layer.forward(x);
    const encoder = device.createCommandEncoder();
    const y = await backend.encode(encoder, async () => {
      expect(await x.read()).toEqual(batch.x.data);
      const y = await layer.forward(x);
      await expectCode('UNSUPPORTED', () => y.read(), /encode/);
      await expectCode('UNSUPPORTED', () => layer.settle());
      await expectCode('UNSUPPORTED', () => layer.forward(x, { training: false }));
      return y;
    });
    await expectCode('UNSUPPORTED', () => y.read(), /submit/);
    await expectCode('UNSUPPORTED', () => layer.state(), /submit/);
    submit(encoder);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    await layer.settle();
    expect(layer.batchesTracked).toBe(2);
  });

  it('calls that were made before, and those with host arrays, are not recorded', async () => {
    const others = [1, 2, 3].map(() => layerOf());
    const onHost = others[0]!.forward(batch.x);
    const onDevice = Array.from({ length: 20 }, () => others[1]!.forward(x));
    const encoder = device.createCommandEncoder();
    const y = await backend.encode(encoder, async () => {
      const during = await others[2]!.forward(batch.x);
      expect(largestError(during.data as Float32Array, exact.y)).toBeLessThan(1e-6);
      return layer.forward(x);
    });
    expect(largestError((await onHost).data as Float32Array, exact.y)).toBeLessThan(1e-6);
    for (const y of onDevice) expect(await errorOf(await y)).toBeLessThan(1e-6);
    submit(encoder);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    for (const other of others) await other.dispose();
  });

  it('calls that are not awaited are recorded all the same', async () => {
    const dy = await backend.upload(batch.dy);
    const encoder = device.createCommandEncoder();
    const [forward, backward] = await backend
      .encode(encoder, () => [[layer.forward(x), layer.backward(dy)]] as const)
      .then(([calls]) => calls);
    const [y, { dx }] = [await forward, await backward];
    submit(encoder);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    expect(largestError((await dx.read()) as Float32Array, exact.dx)).toBeLessThan(1e-6 * Math.max(...exact.invStd));
  });

  it('an encode() that throws has tracked nothing, and its results cannot be read', async () => {
    const before = await layer.state();
    let y: { read(): unknown } | undefined;
    const failing = backend.encode(device.createCommandEncoder(), async () => {
      y = await layer.forward(x);
      throw new Error('mine');
    });
    await expect(failing).rejects.toThrow('mine');
    await expectCode('DISPOSED', () => y!.read());
    await expectCode('DISPOSED', () => layer.settle());
    expect(await layer.state()).toEqual(before);
    await layer.forward(x);
    await layer.settle();
    expect(layer.batchesTracked).toBe(1);
  });

  it('an encoder that is never submitted has tracked nothing', async () => {
    const own = layerOf({ momentum: 0 });
    await backend.encode(device.createCommandEncoder(), () => own.forward(x));
    await expectCode('UNSUPPORTED', () => own.settle(), /submit.*abandon/);
    await expectCode('UNSETTLED', () => own.batchesTracked);
    const bytes = backend.allocatedBytes!();
    await expectCode('UNSUPPORTED', () => own.dispose());
    expect(backend.allocatedBytes!()).toBeLessThan(bytes);
  });

  it.each<[string, (encoder: GPUCommandEncoder, wrapped: GPUBuffer) => void]>([
    ['is dropped', () => undefined],
    ['has a bad pass', (encoder) => encoder.popDebugGroup()],
    ['has a pass that is left open', (encoder) => void encoder.beginComputePass()],
    ['uses a buffer that was destroyed', (_encoder, wrapped) => wrapped.destroy()],
  ])('an encoder that %s can be abandoned: its batch is left out, which is reported once', async (_what, spoil) => {
    const wrapped = bufferOf(device, batch.x.data as Float32Array);
    await layer.forward(x);
    const encoder = device.createCommandEncoder();
    const own = await backend.wrap(wrapped, [64, 4]);
    const y = await backend.encode(encoder, () => layer.forward(own));
    device.pushErrorScope('validation');
    spoil(encoder, wrapped);
    if (_what !== 'is dropped') submit(encoder);
    expect((await device.popErrorScope()) !== null).toBe(_what !== 'is dropped');
    await layer.forward(x);
    await expectCode('UNSUPPORTED', () => layer.settle(), /abandon/);
    await backend.abandon(encoder);
    await expectCode('DISPOSED', () => y.read(), /abandoned/);
    await expectCode('DISPOSED', () => layer.settle(), /abandoned/);
    await layer.settle();
    expect(layer.batchesTracked).toBe(2);
    const later = device.createCommandEncoder();
    await backend.encode(later, () => layer.forward(x));
    submit(later);
    expect((await layer.state()).batchesTracked).toBe(3);
    await layer.forward(batch.x, { training: false });
  });

  it('the memory of an abandoned encoder is freed, but for what another one uses, and the device refuses it', async () => {
    const made: GPUBuffer[] = [];
    const destroyed = new Set<GPUBuffer>();
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = createBuffer(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      made.push(buffer);
      buffer.destroy = () => {
        destroyed.add(buffer);
        return destroy();
      };
      return buffer;
    };
    const plain = layerOf({ trackRunningStatistics: false });
    const shared = await backend.upload(batch.x);
    const [dropped, kept] = [device.createCommandEncoder(), device.createCommandEncoder()];
    const before = made.length;
    (await backend.encode(dropped, () => plain.forward(shared))).dispose();
    const own = made.slice(before);
    const y = await backend.encode(kept, () => plain.forward(shared));
    await plain.dispose();
    shared.dispose();
    expect(destroyed.size).toBe(0);
    await backend.abandon(dropped);
    expect(own.length).toBeGreaterThan(3);
    expect(own.filter((buffer) => !destroyed.has(buffer))).toEqual([]);
    submit(kept);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    device.pushErrorScope('validation');
    submit(dropped);
    expect((await device.popErrorScope())?.message).toMatch(/destroyed/);
  });

  it('what has been executed cannot be abandoned, nor what nobody has recorded, or somebody still does', async () => {
    const encoder = device.createCommandEncoder();
    const y = await backend.encode(encoder, async () => {
      await expectCode('UNSUPPORTED', () => backend.abandon(encoder), /encode/);
      return layer.forward(x);
    });
    submit(encoder);
    for (const _again of [1, 2]) await backend.abandon(encoder);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    expect((await layer.state()).batchesTracked).toBe(1);
    for (const none of [device.createCommandEncoder(), {}, null, 5]) {
      await expectCode('INVALID_OPTION', () => backend.abandon(none as never), /encode/);
    }
  });

  it('what needs an abandoned encoder is refused, or left out', async () => {
    const [first, second] = [device.createCommandEncoder(), device.createCommandEncoder()];
    const y = await backend.encode(first, () => layer.forward(x));
    const next = layerOf();
    await backend.encode(second, () => next.forward(y));
    await backend.abandon(first);
    await expectCode('DISPOSED', () => next.forward(y), /abandoned/);
    submit(second);
    await expectCode('DISPOSED', () => next.settle(), /before the encoder/);
    expect((await next.state()).batchesTracked).toBe(0);
    await expectCode('DISPOSED', () => layer.settle());
    await next.dispose();
  });

  it.each(['by itself', 'in an encoder'])(
    'a batch that is computed too early, %s, is left out, which is reported once',
    async (how) => {
      const [encoder, second] = [device.createCommandEncoder(), device.createCommandEncoder()];
      await layer.forward(x);
      const y = await backend.encode(encoder, () => layerOf().forward(x));
      if (how === 'by itself') await layer.forward(y);
      else await backend.encode(second, () => layer.forward(y));
      if (how !== 'by itself') submit(second);
      submit(encoder);
      await layer.forward(y);
      await expectCode('DISPOSED', () => layer.settle(), /before the encoder was submitted that it needs/);
      await layer.settle();
      expect((await layer.state()).batchesTracked).toBe(2);
      await layer.forward(batch.x, { training: false });
    },
  );

  it.each<[string, string, (encoder: GPUCommandEncoder) => void, 'before' | 'after' | 'between']>([
    ['finishes its encoder before a call', 'cold', (encoder) => encoder.finish(), 'before'],
    ['finishes its encoder before a call', 'warm', (encoder) => encoder.finish(), 'before'],
    ['finishes its encoder between calls', 'warm', (encoder) => encoder.finish(), 'between'],
    ['finishes its encoder after a call', 'warm', (encoder) => encoder.finish(), 'after'],
    ['submits its encoder between calls', 'warm', (encoder) => submit(encoder), 'between'],
    ['submits its encoder after a call', 'warm', (encoder) => submit(encoder), 'after'],
  ])(
    'encode() rejects where work %s, with a pool that is %s, and nothing else breaks',
    async (_what, pool, end, when) => {
      const errors: string[] = [];
      device.onuncapturederror = ({ error }) => errors.push(error.message);
      const plain = layerOf({ trackRunningStatistics: false });
      if (pool === 'warm') {
        const dropped = [];
        for (let n = 0; n < 6; n++) dropped.push(await plain.forward(x));
        for (const y of dropped) y.dispose();
        await x.read();
      }
      const encoder = device.createCommandEncoder();
      const before = await layer.state();
      let y: { read(): unknown } | undefined;
      const work = async () => {
        if (when === 'before') end(encoder);
        y = await layer.forward(x);
        if (when === 'between') {
          end(encoder);
          await layer.forward(x);
        }
        if (when === 'after') end(encoder);
      };
      await expectCode('INVALID_OPTION', () => backend.encode(encoder, work), /open/);
      if (y) {
        await expectCode('DISPOSED', () => y!.read());
        await expectCode('DISPOSED', () => layer.settle());
      }
      expect(await layer.state()).toEqual(before);
      expect(await errorOf(await layer.forward(x))).toBeLessThan(1e-6);
      const later = device.createCommandEncoder();
      await backend.encode(later, () => layer.forward(x));
      submit(later);
      expect((await layer.state()).batchesTracked).toBe(2);
      expect(errors).toEqual([]);
      await plain.dispose();
    },
  );

  it('memory of the backend that somebody has destroyed makes one encode() fail', async () => {
    const plain = layerOf({ trackRunningStatistics: false });
    for (let n = 0; n < 3; n++) (await plain.forward(x)).dispose();
    await x.read();
    const spoilt = [];
    for (let n = 0; n < 20; n++) spoilt.push(await backend.upload(batchOf([16, 4]).x));
    for (const one of spoilt) {
      one.buffer.destroy();
      one.dispose();
    }
    const encode = () => backend.encode(device.createCommandEncoder(), () => plain.forward(x));
    await expectCode('INVALID_TENSOR', encode, /destroyed/);
    expect(await errorOf(await layer.forward(x))).toBeLessThan(1e-6);
  });

  it('other calls, before the encoder is submitted, get none of the memory that it uses', async () => {
    const [encoder, dy] = [device.createCommandEncoder(), await backend.upload(batch.dy)];
    const { y, dx } = await backend.encode(encoder, async () => {
      const y = await layer.forward(x);
      return { y, dx: (await layer.backward(dy)).dx };
    });
    for (const one of [x, dy]) one.dispose();
    const others = [];
    for (const seed of [2, 3, 4]) {
      const [own, other] = [batchOf([64, 4], { seed }), layerOf()];
      others.push({ exact: exactOf(own), y: await other.forward(await backend.upload(own.x)) });
      await other.dispose();
    }
    submit(encoder);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    expect(largestError((await dx.read()) as Float32Array, exact.dx)).toBeLessThan(1e-6 * Math.max(...exact.invStd));
    for (const { exact, y } of others) {
      expect(largestError((await y.read()) as Float32Array, exact.y)).toBeLessThan(1e-6);
    }
  });

  it('an encoder whose recording failed does no harm when it is submitted all the same', async () => {
    const encoder = device.createCommandEncoder();
    const failing = backend.encode(encoder, async () => {
      (await layer.forward(x)).dispose();
      throw new Error('mine');
    });
    await expect(failing).rejects.toThrow('mine');
    const y = await layerOf({ trackRunningStatistics: false }).forward(x);
    device.pushErrorScope('validation');
    submit(encoder);
    expect((await device.popErrorScope())?.message).toMatch(/destroyed/);
    expect(await errorOf(y)).toBeLessThan(1e-6);
    await expectCode('DISPOSED', () => layer.settle());
  });

  it.each(['in an encoder that is submitted alone', 'in one that is submitted first', 'by itself'])(
    'what needs an encoder that was not submitted, %s, is refused when it is read',
    async (how) => {
      const encoders = [1, 2].map(() => device.createCommandEncoder());
      const [first, second] = [encoders[0]!, encoders[1]!];
      const dy = await backend.upload(batch.dy);
      await backend.encode(first, () => layer.forward(x));
      const backward = () => layer.backward(dy);
      const { dx, dgamma } = how === 'by itself' ? await backward() : await backend.encode(second, backward);
      if (how !== 'by itself') submit(second);
      if (how === 'in one that is submitted first') submit(first);
      await expectCode('DISPOSED', () => dx.read(), /before the encoder was submitted that it needs/);
      submit(how === 'in one that is submitted first' ? device.createCommandEncoder() : first);
      await expectCode('DISPOSED', () => dx.read(), /before the encoder was submitted that it needs/);
      await expectCode('DISPOSED', () => dgamma.read());
      await expectCode('DISPOSED', () => layerOf().forward(dx), /before the encoder/);
      await layer.forward(x);
      const again = await layer.backward(dy);
      expect(largestError((await again.dx.read()) as Float32Array, exact.dx)).toBeLessThan(1e-5);
    },
  );

  it('steps that need each other, in encoders of their own, are right when those are submitted in order, at once', async () => {
    const [dy, encoders] = [await backend.upload(batch.dy), [1, 2].map(() => device.createCommandEncoder())];
    const y = await backend.encode(encoders[0]!, () => layer.forward(x));
    const { dx } = await backend.encode(encoders[1]!, () => layer.backward(dy));
    device.queue.submit(encoders.map((encoder) => encoder.finish()));
    expect(largestError((await dx.read()) as Float32Array, exact.dx)).toBeLessThan(1e-6 * Math.max(...exact.invStd));
    expect(await errorOf(y)).toBeLessThan(1e-6);
  });

  it('what an encode() that failed would have computed is refused by other calls', async () => {
    let y: WebGpuTensor | undefined;
    const failing = backend.encode(device.createCommandEncoder(), async () => {
      y = (await layer.forward(x)) as WebGpuTensor;
      throw new Error('mine');
    });
    await expect(failing).rejects.toThrow('mine');
    await expectCode('DISPOSED', () => layerOf().forward(y!), /failed/);
    const dy = await backend.upload(batch.dy);
    await expectCode('DISPOSED', () => layer.backward(dy), /failed/);
    await expectCode('DISPOSED', () => layer.settle());
  });

  it('300 encoders make no buffer after the first few, one of them never submitted', async () => {
    const [y, dy] = [await backend.upload(batch.x), await backend.upload(batch.dy)];
    let made = 0;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      made++;
      return createBuffer(descriptor);
    };
    const plain = layerOf({ trackRunningStatistics: false });
    const step = async (isSubmitted: boolean) => {
      const encoder = device.createCommandEncoder();
      const { dx, ...vectors } = await backend.encode(encoder, async () => {
        await plain.forward(x, { out: y });
        return plain.backward(dy);
      });
      for (const one of [dx, ...Object.values(vectors)]) one.dispose();
      if (isSubmitted) submit(encoder);
    };
    for (let n = 0; n < 10; n++) await step(n !== 4);
    const before = made;
    for (let n = 0; n < 300; n++) await step(true);
    expect(made - before).toBeLessThan(20);
    await plain.dispose();
  });

  it('a device that is lost before the submission is DEVICE_LOST, and the state stays', async () => {
    await layer.forward(batch.x);
    const state = await layer.state();
    const own = layerOf();
    own.loadState(state);
    const encoder = device.createCommandEncoder();
    const y = await backend.encode(encoder, () => own.forward(x));
    device.destroy();
    submit(encoder);
    await device.lost;
    await expectCode('DEVICE_LOST', () => y.read());
    await expectCode('DEVICE_LOST', () => own.settle());
    await expectCode('DEVICE_LOST', () => backend.encode(device.createCommandEncoder(), () => undefined));
    const successor = await createWebGpuBackend();
    const next = new BatchNorm({ backend: successor, numFeatures: 4 });
    next.loadState(state);
    await next.forward(batch.x);
    expect((await next.state()).batchesTracked).toBe(2);
    await next.dispose();
    await successor.dispose();
  });

  it('refuses what is no open encoder, or of another device, no function, and another encode() meanwhile', async () => {
    const finished = device.createCommandEncoder();
    finished.finish();
    for (const encoder of [null, undefined, {}, 5, device, finished]) {
      await expectCode('INVALID_OPTION', () => backend.encode(encoder as never, () => undefined), /GPUCommandEncoder/);
    }
    await expectCode('INVALID_OPTION', () => backend.encode(device.createCommandEncoder(), 7 as never), /function/);
    const other = await ownDevice();
    other.onuncapturederror = () => undefined;
    const foreign = other.createCommandEncoder();
    await expectCode('INVALID_OPTION', () => backend.encode(foreign, () => layer.forward(x)), /another device/);
    other.destroy();
    const encoder = device.createCommandEncoder();
    const within = () => backend.encode(device.createCommandEncoder(), () => undefined);
    await expectCode('UNSUPPORTED', () => backend.encode(encoder, within));
    expect(await errorOf(await layer.forward(x))).toBeLessThan(1e-6);
  });
});
