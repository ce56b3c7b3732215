// Handles: several forwards alive at once, each with its own backward.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type ForwardPass, type Tensor } from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const shape = [4, C];
const [first, second] = [filled(shape, 1), filled(shape, 2)];
const [dyFirst, dySecond] = [filled(shape, 3), filled(shape, 4)];

function newLayer(options: Partial<BatchNormOptions> = {}) {
  const backend = new ReferenceBackend();
  return { layer: new BatchNorm({ backend, numFeatures: C, ...options }), backend };
}

describe('a pass', () => {
  it('has the gradients of its own forward, in any order', async () => {
    const one = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: 1, dtype: 'float64' });
    const column = (...data: number[]) => ({ data: Float64Array.from(data), shape: [data.length, 1] });
    const a = await one.forwardPass(column(1, 2, 4));
    const b = await one.forwardPass(column(10, 0, 5));
    await b.backward(column(0, 1, 0));
    const { dx } = await a.backward(column(1, 0, 0));
    // PyTorch's, with epsilon 1e-5.
    expect([...dx.data]).toEqual([0.22908, -0.34362, 0.11454].map((value) => expect.closeTo(value, 5)));
  });

  it('gives what forward and backward give', async () => {
    const [{ layer }, { layer: other }] = [newLayer(), newLayer()];
    const passes = [await layer.forwardPass(first), await layer.forwardPass(second, { training: false })] as const;
    const second_ = await passes[1].backward(dySecond);
    const first_ = await passes[0].backward(dyFirst);
    expect(passes[0].y).toEqual(await other.forward(first));
    expect(first_).toEqual(await other.backward(dyFirst));
    expect(passes[1].y).toEqual(await other.forward(second, { training: false }));
    expect(second_).toEqual(await other.backward(dySecond));
    expect(await layer.state()).toEqual(await other.state());
  });

  it('leaves the latest forward what backward differentiates', async () => {
    const [{ layer }, { layer: other }] = [newLayer(), newLayer()];
    await layer.forward(first);
    const validation = await layer.forwardPass(second, { training: false });
    await other.forward(first);
    expect(await layer.backward(dyFirst)).toEqual(await other.backward(dyFirst));
    await validation.dispose();
    expect(await layer.backward(dyFirst)).toEqual(await other.backward(dyFirst));
  });

  it('keeps its kernels, however many other batch sizes there are', async () => {
    const { layer, backend } = newLayer();
    const pass = await layer.forwardPass(first);
    const expected = await pass.backward(dyFirst);
    for (let n = 5; n < 30; n++) await layer.forward(filled([n, C]));
    expect(await pass.backward(dyFirst)).toEqual(expected);
    await pass.dispose();
    await layer.dispose();
    expect(backend.alive.size).toBe(0);
  });

  it('tells the statistics of its batch, and of inference those that it used', async () => {
    const { layer, backend } = newLayer({ momentum: 0 });
    const batch = tensor([2, C], [1, 2, 3, 3, 6, 9]);
    for (const x of [batch, backend.upload(batch)] as Tensor[]) {
      const pass = await layer.forwardPass(x);
      expect(await pass.statistics()).toEqual({ mean: Float64Array.of(2, 4, 6), variance: Float64Array.of(1, 4, 9) });
      await layer.forward(second);
      expect(await pass.statistics()).toEqual({ mean: Float64Array.of(2, 4, 6), variance: Float64Array.of(1, 4, 9) });
      const { runningMean, runningVariance } = layer;
      const inference = await layer.forwardPass(x, { training: false });
      const statistics = { mean: runningMean.slice(), variance: runningVariance.slice() };
      runningMean.fill(7);
      expect(await inference.statistics()).toEqual(statistics);
      await inference.dispose();
      await pass.dispose();
    }
  });

  it('leaves nothing behind when it is disposed, on the host and on the device', async () => {
    const { layer, backend } = newLayer();
    const device = backend.upload(first);
    for (const x of [first, device] as Tensor[]) {
      const pass = await layer.forwardPass(x);
      if ('dispose' in pass.y) (pass.y as unknown as { dispose(): void }).dispose();
      await pass.dispose();
      await pass.dispose();
    }
    await layer.dispose();
    expect(backend.alive).toEqual(new Set([device]));
  });

  it('answers DISPOSED after its dispose(), and after that of its layer', async () => {
    const { layer, backend } = newLayer();
    const [pass, other] = [await layer.forwardPass(first), await layer.forwardPass(second)];
    await pass.dispose();
    await expectError('DISPOSED', () => pass.backward(dyFirst));
    await expectError('DISPOSED', () => pass.statistics());
    await layer.dispose();
    await expectError('DISPOSED', () => other.backward(dySecond));
    await other.dispose();
    expect(backend.alive.size).toBe(0);
  });

  it('ends after the calls before it', async () => {
    const { layer } = newLayer();
    const pass = await layer.forwardPass(first);
    const gradients = pass.backward(dyFirst);
    void pass.dispose();
    expect((await gradients).dx.shape).toEqual(shape);
  });

  it('has no backward in place', async () => {
    const { layer } = newLayer();
    const x = filled(shape);
    const pass = await layer.forwardPass(x, { training: false, out: x });
    expect(pass.y).toBe(x);
    await expectError('FORWARD_REQUIRED', () => pass.backward(dyFirst), /in place/);
  });

  it('is freed when it is dropped', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { layer, backend } = newLayer();
    const drop = async (): Promise<void> => {
      for (let n = 0; n < 10; n++) await layer.forwardPass(first);
    };
    await drop();
    const held = await layer.forwardPass(second);
    for (let turn = 0; turn < 50 && backend.alive.size > 2; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      collect();
    }
    // The kernels, and what `held` has saved.
    expect(backend.alive.size).toBe(2);
    const gradients = await held.backward(dySecond);
    expect(gradients.dx.shape).toEqual(shape);
  });
});

describe('a layer that is dropped', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const last: [name: string, call: (layer: BatchNorm) => Promise<unknown>][] = [
    ['forwardPass', (layer) => layer.forwardPass(first)],
    ['a forwardPass that fails', (layer) => layer.forwardPass(tensor([1], [1])).catch(() => layer.forwardPass(first))],
    ['forward', (layer) => layer.forward(first)],
  ];
  it.each(last)('frees its passes, whatever its last call was: %s', async (_name, call) => {
    const backend = new ReferenceBackend();
    const use = async () => {
      for (let n = 0; n < 10; n++) await call(new BatchNorm({ backend, numFeatures: C }));
    };
    await use();
    const made = backend.alive.size;
    let dropped = 0;
    const registry = new FinalizationRegistry(() => dropped++);
    const dropOne = async () => {
      const layer = new BatchNorm({ backend, numFeatures: C });
      const pass = await call(layer);
      registry.register(layer, undefined);
      registry.register(pass as object, undefined);
    };
    await dropOne();
    for (let turn = 0; turn < 50 && dropped < 2; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      collect();
    }
    expect(dropped).toBe(2);
    expect(made).toBeGreaterThan(0);
  });
});

describe('x that changed before its backward', () => {
  type Change = [name: string, change: (x: Tensor) => void];
  const changes: Change[] = [
    ['another batch in the same array', ({ data }) => data.set(second.data)],
    ['zeros', ({ data }) => data.fill(0)],
  ];
  it.each(changes)('is INPUT_CHANGED: %s', async (_name, change) => {
    const { layer } = newLayer();
    const x = filled(shape);
    const pass: ForwardPass = await layer.forwardPass(x);
    await layer.forward(x);
    change(x);
    await expectError('INPUT_CHANGED', () => layer.backward(dyFirst), /lent/);
    await expectError('INPUT_CHANGED', () => pass.backward(dyFirst));
    x.data.set(filled(shape).data);
    expect((await layer.backward(dyFirst)).dx.shape).toEqual(shape);
  });

  it.each(['host', 'device'])('is noticed with checks, though it is one element of many, on the %s', async (memory) => {
    const { layer, backend } = newLayer({ checks: true });
    const [x, dy] = [filled([1000, C]), filled([1000, C], 2)];
    const onDevice = backend.upload(x);
    const elements = memory === 'host' ? x.data : (onDevice as unknown as { stored: Float32Array }).stored;
    const put = (value: Tensor) => (memory === 'host' ? value : (backend.upload(value) as unknown as Tensor));
    await layer.forward(memory === 'host' ? x : (onDevice as unknown as Tensor));
    await layer.backward(put(dy));
    elements[1234]! += 1;
    await expectError('INPUT_CHANGED', () => layer.backward(put(dy)), /element 1234/);
  });

  it('is noticed on the device when it has received a result', async () => {
    const { layer, backend } = newLayer();
    const x = backend.upload(first);
    await layer.forward(x);
    const { layer: other } = { layer: new BatchNorm({ backend, numFeatures: C }) };
    await other.forward(backend.upload(second), { out: x });
    await expectError('INPUT_CHANGED', () => layer.backward(backend.upload(dyFirst)), /received a result/);
  });

  it('is nothing to a backward whose x has NaN', async () => {
    const { layer } = newLayer({ trackRunningStatistics: false });
    await layer.forward(tensor([2, C], [Number.NaN, -0, 3, 4, 5, 6]));
    expect((await layer.backward(filled([2, C]))).dx.shape).toEqual([2, C]);
  });
});
