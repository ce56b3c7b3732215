// A device that goes away: a coded error, a layer that is as it was, and a new backend that carries on.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf } from '@batchnorm/testing/batches';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, expect, it } from 'vitest';
import { describeModes, inBrowser } from './modes.js';

/** Every WebGL context and WebGPU device that has been made since this file was loaded. */
const contexts: { getExtension(name: string): { loseContext(): void } | null }[] = [];
const devices: { destroy(): void; readonly lost: Promise<unknown> }[] = [];

if (inBrowser) {
  const { HTMLCanvasElement, OffscreenCanvas, GPUAdapter } = globalThis as never as Record<
    string,
    { prototype: never }
  >;
  for (const canvas of [HTMLCanvasElement, OffscreenCanvas]) record(canvas?.prototype, 'getContext', contexts);
  record(GPUAdapter?.prototype, 'requestDevice', devices);
}

/** Keeps what `method` returns or resolves to. */
function record(prototype: Record<string, unknown> | undefined, method: string, results: unknown[]): void {
  if (prototype === undefined) return;
  const original = prototype[method] as (...args: unknown[]) => unknown;
  prototype[method] = function (this: unknown, ...args: unknown[]) {
    const result = original.apply(this, args);
    void Promise.resolve(result).then((value) => value && results.push(value));
    return result;
  };
}

async function loseEverything(): Promise<void> {
  for (const context of contexts.splice(0)) context.getExtension('WEBGL_lose_context')?.loseContext();
  for (const device of devices.splice(0)) {
    device.destroy();
    await device.lost;
  }
}

afterEach(loseEverything);

await describeModes(inBrowser ? ['webgl', 'webgl2', 'webgpu'] : [], (_mode, create) => {
  const [first, second] = [batchOf([20, 5], { mean: 3 }), batchOf([20, 5], { mean: 4, seed: 2 })];

  it('is DEVICE_LOST in forward, backward, upload and read, and a new backend carries on from the state', async () => {
    const whole = await create();
    const uninterrupted = new BatchNorm({ backend: whole, numFeatures: 5 });
    await uninterrupted.forward(first.x);
    const expected = { y: await uninterrupted.forward(second.x), ...(await uninterrupted.backward(second.dy)) };
    const expectedState = await uninterrupted.state();
    await whole.dispose();

    const backend = await create();
    const layer = new BatchNorm({ backend, numFeatures: 5 });
    const tensor = await backend.upload(first.x);
    await layer.forward(first.x);
    const before = await layer.state();
    const out = { data: new Float32Array(100).fill(7), shape: [20, 5] };
    await loseEverything();

    await expectCode('DEVICE_LOST', () => layer.forward(second.x, { out }), /lost device/);
    await expectCode('DEVICE_LOST', () => layer.backward(second.dy));
    await expectCode('DEVICE_LOST', () => backend.upload(second.x));
    await expectCode('DEVICE_LOST', () => tensor.read());
    expect(out.data).toEqual(new Float32Array(100).fill(7));
    expect(await layer.state()).toEqual(before);
    await layer.dispose();
    await backend.dispose();

    const another = await create();
    const survivor = new BatchNorm({ backend: another, numFeatures: 5 });
    await survivor.loadState(before);
    expect({ y: await survivor.forward(second.x), ...(await survivor.backward(second.dy)) }).toEqual(expected);
    expect(await survivor.state()).toEqual(expectedState);
    await another.dispose();
  });

  it('takes with it the batches that waited on the device: settle() says so once, and the layer goes on', async () => {
    const backend = await create();
    const layer = new BatchNorm({ backend, numFeatures: 5 });
    await layer.forward(first.x);
    const before = await layer.state();
    await layer.forward(await backend.upload(second.x));
    await loseEverything();
    await expectCode('DEVICE_LOST', () => layer.settle());
    expect(await layer.state()).toEqual(before);
    await layer.dispose();
    await backend.dispose();
  });
});

it.runIf(!inBrowser)('is tested where contexts can be lost: in Chromium', ({ skip }) =>
  skip('Node has no way to lose a context'),
);
