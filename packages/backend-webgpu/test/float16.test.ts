// float16 as storage: every number of it comes and goes unharmed, results are rounded once, and tensors take half.
import { BatchNorm, elementsFrom, numbersOf } from '@batchnorm/core-api';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { bufferOf, contentsOf, describeHere } from './here.js';

/** Rounded to nearest. */
const halvesOf = (numbers: ArrayLike<number>) => elementsFrom('float16', numbers) as Uint16Array;

await describeHere(() => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await createWebGpuBackend();
  });
  afterAll(() => backend.dispose());

  /** y = x: mean 0, variance 1, epsilon 0, gamma 1, beta 0. */
  const identity = () => {
    const layer = new BatchNorm({ backend, numFeatures: 1, dtype: 'float16', epsilon: 0 });
    layer.runningVariance = [1];
    return layer;
  };
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

  it('all 65,536 halves pass as they are, subnormal ones too; NaN stays NaN', async () => {
    const layer = identity();
    const y = (await layer.forward({ data: all, shape: [65_536, 1] }, { training: false })).data;
    const [got, want] = [numbersOf(y), numbersOf(all)];
    const differ = Array.from(want.keys()).filter((k) => !(got[k] === want[k] || Number.isNaN(want[k]!)));
    expect(differ.map((k) => [want[k], got[k]])).toEqual([]);
    expect(want.every((value, k) => Number.isNaN(value) === Number.isNaN(got[k]!))).toBe(true);
    await layer.dispose();
  });

  it('results are rounded to nearest, to even halfway, and overflow to infinity', async () => {
    const layer = identity();
    // Halfway between neighbours, and a little beside: x + beta is exact in float32.
    const halves = Uint16Array.from({ length: 4096 }, (_, k) => 0x0400 + 7 * k);
    for (const beta of [2 ** -25, 2 ** -24, 3 * 2 ** -26, 1 / 3, 60_000]) {
      layer.beta = [beta];
      const y = (await layer.forward({ data: halves, shape: [4096, 1] }, { training: false })).data;
      const want = halvesOf(numbersOf(halves).map((value) => Math.fround(value + Math.fround(beta))));
      expect(y).toEqual(want);
    }
    await layer.dispose();
  });

  it('subnormal results halfway between two are rounded to even', async () => {
    const layer = identity();
    layer.gamma = [2 ** -25];
    const numbers = Float32Array.from({ length: 2048 }, (_, k) => k);
    const y = (await layer.forward({ data: halvesOf(numbers), shape: [2048, 1] }, { training: false })).data;
    expect(y).toEqual(halvesOf(numbers.map((k) => k * 2 ** -25)));
    await layer.dispose();
  });

  it.each([
    [7, 3],
    [5, 4],
    [3, 5, 7],
    [1, 1, 9],
  ])('an odd number of elements, %i × %i …, leaves what follows alone', async (...shape) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    const numbers = Float32Array.from({ length: elements }, (_, k) => Math.sin(k) + k / 8);
    const data = halvesOf(numbers);
    const around = new Float32Array(Math.ceil(elements / 2) + 64).fill(7);
    const buffer = bufferOf(backend.device, around);
    const layer = new BatchNorm({ backend, numFeatures: shape[1]!, dtype: 'float16' });
    const out = await backend.wrap(buffer, shape, { dtype: 'float16' });
    const before = new Uint16Array((await contentsOf(backend.device, buffer)).buffer);
    await layer.forward(await backend.upload({ data, shape }), { out });
    const after = new Uint16Array((await contentsOf(backend.device, buffer)).buffer);
    expect(after.subarray(elements)).toEqual(before.subarray(elements));
    const onHost = await layer.forward({ data, shape });
    expect(after.subarray(0, elements)).toEqual(onHost.data);
    await layer.dispose();
  });

  it('what ReLU makes 0 in storage has no gradient', async () => {
    const layer = new BatchNorm({ backend, numFeatures: 1, dtype: 'float16', epsilon: 0, activation: 'relu' });
    layer.runningVariance = [1];
    layer.gamma = [2 ** -12];
    const x = { data: halvesOf(Float32Array.of(2 ** -13, 2 ** -12, 1, -1)), shape: [4, 1] };
    const y = await layer.forward(x, { training: false });
    expect([...numbersOf(y.data)]).toEqual([0, 2 ** -24, 2 ** -12, 0]);
    const { dx } = await layer.backward({ data: halvesOf(Float32Array.of(1024, 1024, 1024, 1024)), shape: [4, 1] });
    expect([...numbersOf(dx.data)]).toEqual([0, 0.25, 0.25, 0]);
    await layer.dispose();
  });

  it('a tensor takes half of what it takes in float32', async () => {
    const before = backend.allocatedBytes!();
    const half = await backend.upload({ data: new Uint16Array(65_536), shape: [1024, 64] });
    const ofHalf = backend.allocatedBytes!() - before;
    const single = await backend.upload({ data: new Float32Array(65_536), shape: [1024, 64] });
    expect(ofHalf * 2).toBe(backend.allocatedBytes!() - before - ofHalf);
    for (const tensor of [half, single]) tensor.dispose();
  });
});
