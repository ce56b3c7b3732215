// A program's own device, buffers and command encoders: nothing is copied, submitted or destroyed behind its back.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf, exactOf, largestError } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { bufferOf, contentsOf, describeHere, ownDevice, tensorUsage } from './here.js';

await describeHere(() => {
  let device: GPUDevice;
  let backend: WebGpuBackend;
  const shape = [24, 8];
  const batch = batchOf(shape);
  const [x, dy] = [batch.x.data as Float32Array, batch.dy.data as Float32Array];

  beforeEach(async () => {
    device = await ownDevice();
    backend = await createWebGpuBackend({ device });
  });

  afterEach(async () => {
    await backend.dispose();
    device.destroy();
  });

  it("runs on the caller's device, which dispose() leaves alive", async () => {
    expect(backend.device).toBe(device);
    await backend.dispose();
    const buffer = bufferOf(device, x);
    expect(await contentsOf(device, buffer)).toEqual(x);
  });

  it('reads from a wrapped buffer and writes into another, at offsets, and touches nothing around them', async () => {
    const offset = device.limits.minStorageBufferOffsetAlignment;
    const around = new Float32Array(x.length + offset / 4).fill(7);
    const [from, to] = [bufferOf(device, x, { offset }), bufferOf(device, around)];
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    const out = await backend.wrap(to, shape, { offset });
    const y = await layer.forward(await backend.wrap(from, shape, { offset }), { out });
    expect(y).toBe(out);
    const contents = await contentsOf(device, to);
    expect(contents.subarray(0, offset / 4)).toEqual(around.subarray(0, offset / 4));
    expect(largestError(contents.subarray(offset / 4), exactOf(batch).y)).toBeLessThan(1e-6);
    await layer.dispose();
  });

  it('x, y, dy and dx in one buffer, where a shader may not both read and write', async () => {
    const offset = Math.max(256, device.limits.minStorageBufferOffsetAlignment);
    const stride = Math.ceil((x.length * 4) / offset) * offset;
    const all = device.createBuffer({ size: 4 * stride, usage: tensorUsage });
    device.queue.writeBuffer(all, 0, x as Float32Array<ArrayBuffer>);
    device.queue.writeBuffer(all, 2 * stride, dy as Float32Array<ArrayBuffer>);
    const part = (index: number) => backend.wrap(all, shape, { offset: index * stride });
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    await layer.forward(await part(0), { out: await part(1) });
    await layer.backward(await part(2), { out: { dx: await part(3) } });
    const contents = await contentsOf(device, all);
    const at = (index: number) => contents.subarray((index * stride) / 4, (index * stride) / 4 + x.length);
    const exact = exactOf(batch);
    expect(at(0)).toEqual(x);
    expect(at(2)).toEqual(dy);
    expect(largestError(at(1), exact.y)).toBeLessThan(1e-6);
    expect(largestError(at(3), exact.dx)).toBeLessThan(1e-6);
    await layer.dispose();
  });

  it('gives the buffer of its own tensors, and disposing a wrapped one leaves the buffer alive', async () => {
    const own = await backend.upload(batch.x);
    expect((await contentsOf(device, own.buffer)).subarray(own.offset / 4, own.offset / 4 + x.length)).toEqual(x);
    const buffer = bufferOf(device, x);
    const wrapped = await backend.wrap(buffer, shape);
    expect(wrapped.buffer).toBe(buffer);
    wrapped.dispose();
    expect(await contentsOf(device, buffer)).toEqual(x);
  });

  it("records training steps into the caller's encoder: nothing runs before it is submitted, then what runs otherwise", async () => {
    const [expected, recorded] = [1, 2].map(() => new BatchNorm({ backend, numFeatures: 8 }));
    const onDevice = { x: await backend.upload(batch.x), dy: await backend.upload(batch.dy) };
    const steps = async (layer: BatchNorm) => {
      const results = [];
      for (const _step of [1, 2, 3]) {
        results.push(await layer.forward(onDevice.x), await layer.backward(onDevice.dy));
      }
      return results;
    };
    const read = async (results: Awaited<ReturnType<typeof steps>>) =>
      Promise.all(results.flatMap((one) => ('read' in one ? [one.read()] : [one.dx.read(), one.dgamma.read()])));
    const want = await read(await steps(expected!));
    await expected!.forward(onDevice.x);
    const encoder = device.createCommandEncoder();
    const target = bufferOf(device, new Float32Array(x.length));
    const results = await backend.encode(encoder, async () => {
      const results = await steps(recorded!);
      await recorded!.forward(onDevice.x, { out: await backend.wrap(target, shape) });
      return results;
    });
    expect(await contentsOf(device, target)).toEqual(new Float32Array(x.length));
    device.queue.submit([encoder.finish()]);
    expect((await contentsOf(device, target)).some((value) => value !== 0)).toBe(true);
    expect(await read(results)).toEqual(want);
    expect(await recorded!.state()).toEqual(await expected!.state());
    for (const layer of [expected!, recorded!]) await layer.dispose();
  });

  it('refuses an encoder that had one encode()', async () => {
    const encoder = device.createCommandEncoder();
    await backend.encode(encoder, () => undefined);
    await expectCode('UNSUPPORTED', () => backend.encode(encoder, () => undefined), /same encoder/);
  });

  it("leaves the encoder to the caller's own commands between two calls", async () => {
    const [y, dx] = [1, 2].map(() => bufferOf(device, new Float32Array(x.length)));
    const gradient = bufferOf(device, new Float32Array(x.length));
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    const onDevice = await backend.upload(batch.x);
    const tensorOf = (buffer: GPUBuffer) => backend.wrap(buffer, shape);
    const out = { y: await tensorOf(y!), dx: await tensorOf(dx!), dy: await tensorOf(gradient) };
    const encoder = device.createCommandEncoder();
    await backend.encode(encoder, async () => {
      await layer.forward(onDevice, { out: out.y });
      encoder.beginComputePass().end();
      encoder.copyBufferToBuffer(y!, 0, gradient, 4, y!.size - 4);
      await layer.backward(out.dy, { out: { dx: out.dx } });
    });
    device.queue.submit([encoder.finish()]);
    const shifted = Float32Array.of(0, ...exactOf(batch).y.subarray(0, -1));
    const { dx: want } = exactOf({ ...batch, dy: { shape, data: shifted } });
    expect(largestError(await contentsOf(device, dx!), want)).toBeLessThan(2e-6);
    await layer.dispose();
  });

  it('refuses buffers that it cannot use, with what is needed', async () => {
    const alignment = device.limits.minStorageBufferOffsetAlignment;
    const buffer = bufferOf(device, x);
    const refused = (attempt: () => unknown, message: RegExp) => expectCode('INVALID_TENSOR', attempt, message);
    await refused(() => backend.wrap(buffer, [25, 8]), /768 bytes, expected 800/);
    await refused(
      () => backend.wrap(buffer, [2, 8], { offset: alignment / 2 }),
      new RegExp(`multiple of ${alignment}`),
    );
    await refused(() => backend.wrap(buffer, [2, 8], { offset: -alignment }), /offset/);
    await refused(() => backend.wrap(bufferOf(device, x, { usage: 0x80 }), shape), /COPY_SRC and COPY_DST/);
    await refused(() => backend.wrap({} as GPUBuffer, shape), /GPUBuffer/);
    await refused(() => backend.wrap(undefined as never, shape), /GPUBuffer/);
    const mapped = device.createBuffer({ size: 768, usage: tensorUsage, mappedAtCreation: true });
    await refused(() => backend.wrap(mapped, shape), /mapped/);
    const destroyed = bufferOf(device, x);
    destroyed.destroy();
    await refused(() => backend.wrap(destroyed, shape), /alive/);
    const other = await ownDevice();
    const foreign = bufferOf(other, x);
    await refused(() => backend.wrap(foreign, shape), /alive|device/);
    other.destroy();
    await expectCode('DTYPE_MISMATCH', () => backend.wrap(buffer, shape, { dtype: 'float64' }));
    const tensor = await backend.wrap(buffer, shape);
    expect(await tensor.read()).toEqual(x);
  });

  it('refuses results that would be written over an operand that has to stay, whatever tensors they are', async () => {
    const offset = Math.max(256, device.limits.minStorageBufferOffsetAlignment);
    const buffer = device.createBuffer({ size: 4 * offset, usage: tensorUsage });
    const part = (at: number) => backend.wrap(buffer, shape, { offset: at });
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    const upstream = await backend.upload(batch.dy);
    const refused = (attempt: () => unknown) => expectCode('INVALID_TENSOR', attempt, /shares memory with/);
    const first = await part(0);
    await layer.forward(first);
    for (const at of [0, offset]) {
      const out = await part(at);
      await refused(() => layer.forward(first, { out }));
      await refused(() => layer.forward(first, { training: false, out }));
      await refused(() => layer.backward(upstream, { out: { dx: out } }));
    }
    const residual = await backend.upload(batch.x);
    await layer.forward(residual, { residual: await part(2 * offset - offset) });
    const [dx, dresidual] = [await part(0), await part(offset)];
    await refused(() => layer.backward(upstream, { out: { dx, dresidual } }));
    await layer.dispose();
  });

  it('takes no option of wrap() that it does not know', async () => {
    const buffer = bufferOf(device, x);
    for (const options of [{ offSet: 256 }, 'float32', 256, null]) {
      await expectCode('INVALID_OPTION', () => backend.wrap(buffer, shape, options as never), /dtype, offset/);
    }
    await expectCode('INVALID_TENSOR', () =>
      backend.wrap({ size: 4096, usage: 0x8c, mapState: 'unmapped' } as never, shape),
    );
  });

  it('refuses a device that was lost, and leaves nothing on one that it is disposed on', async () => {
    let alive = 0;
    const createBuffer = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      alive++;
      const made = createBuffer(descriptor);
      const destroy = made.destroy.bind(made);
      made.destroy = () => {
        alive--;
        destroy();
      };
      return made;
    };
    const own = await createWebGpuBackend({ device });
    const layer = new BatchNorm({ backend: own, numFeatures: 8 });
    await layer.forward(await own.upload(batch.x));
    expect(alive).toBeGreaterThan(3);
    await own.dispose();
    expect(alive).toBe(0);
    const lost = await ownDevice();
    lost.destroy();
    await lost.lost;
    await expectCode('BACKEND_UNAVAILABLE', () => createWebGpuBackend({ device: lost }), /lost/);
  });

  it('a wrapped buffer that was destroyed later fails the call, which changes nothing', async () => {
    const buffer = bufferOf(device, x);
    const layer = new BatchNorm({ backend, numFeatures: 8 });
    const [good, bad] = [await backend.upload(batch.x), await backend.wrap(buffer, shape)];
    buffer.destroy();
    const before = await layer.state();
    await expectCode('INVALID_TENSOR', () => layer.forward(bad), /alive/);
    await layer.settle();
    expect(await layer.state()).toEqual(before);
    expect(largestError((await (await layer.forward(good)).read()) as Float32Array, exactOf(batch).y)).toBeLessThan(
      1e-6,
    );
    await layer.dispose();
  });

  it('refuses options that are none', async () => {
    await expectCode('INVALID_OPTION', () => createWebGpuBackend({ device: {} as GPUDevice }), /device/);
    await expectCode('INVALID_OPTION', () => createWebGpuBackend({ adapter: 3 as never }), /adapter/);
    for (const none of [null, 5, 'gpu', true, Symbol('gpu'), () => device]) {
      await expectCode('INVALID_OPTION', () => createWebGpuBackend(none as never), /options/);
    }
    await expectCode('INVALID_OPTION', () => createWebGpuBackend({ powerPreference: 'fast' as never }), /low-power/);
    await expectCode('INVALID_OPTION', () => createWebGpuBackend({ devise: device } as never), /devise/);
  });
});
