// What hostBackend adds to the passes that it is given.
import { expect, it } from 'vitest';
import { allocate, BatchNorm, BatchNormError, type HostPasses, hostBackend } from '../src/index.js';

/** Passes that write 1 everywhere, and remember what they were asked. */
function onesPasses(asked: string[]): HostPasses {
  return {
    moments(x, _mask, mean, m2) {
      asked.push('moments');
      mean.fill(1);
      m2.fill(x.length);
    },
    normalize({ mean, scale, beta }, y) {
      asked.push(`normalize ${[...mean]} ${[...scale]} ${[...beta]}`);
      y.fill(1);
    },
    gradientSums(_forward, _dy, dgamma, dbeta) {
      asked.push('gradientSums');
      dgamma.fill(1);
      dbeta.fill(1);
    },
    inputGradient(_forward, _dy, total, dx) {
      asked.push(total ? 'inputGradient' : 'scaledGradient');
      dx.fill(1);
    },
  };
}

const x = { data: Float32Array.of(1, 2, 3, 4), shape: [4, 1] };

it('says what a backend in host memory can do, unless told otherwise', () => {
  const passesFor = () => onesPasses([]);
  const plain = hostBackend({ name: 'mine', passesFor });
  expect(plain).toMatchObject({
    contractVersion: 2,
    name: 'mine',
    capabilities: { dtypes: ['float32', 'float64'], deviceTensors: false, deterministic: true },
    execution: {
      engine: 'JavaScript',
      threads: 1,
      accumulation: { float32: 'float64', float64: 'float64' },
      fallbackReason: null,
    },
  });
  const other = hostBackend({
    name: 'other',
    passesFor,
    capabilities: { dtypes: ['float32'], limits: { elements: 3 } },
    execution: { accumulation: { float32: 'float32' } },
  });
  expect(other.capabilities).toMatchObject({ dtypes: ['float32'], deterministic: true, limits: { elements: 3 } });
  expect(other.execution).toMatchObject({ engine: 'JavaScript', accumulation: { float32: 'float32' } });
});

it('calls the passes in order; the gradient with constant statistics has no total', async () => {
  const asked: string[] = [];
  const backend = hostBackend({ name: 'mine', passesFor: () => onesPasses(asked) });
  const layer = new BatchNorm({ backend, numFeatures: 1, epsilon: 3 });
  layer.gamma.fill(8);
  layer.beta.fill(5);
  await layer.forward(x);
  expect(await layer.backward(x)).not.toHaveProperty('dresidual');
  expect(asked.splice(0)).toEqual(['moments', 'normalize 1 4 5', 'gradientSums', 'inputGradient']);
  await layer.forward(x, { training: false });
  await layer.backward(x);
  expect(asked.map((pass) => pass.split(' ')[0])).toEqual(['normalize', 'gradientSums', 'scaledGradient']);
});

it('results go into the arrays that were given, or into new ones of the dtype', async () => {
  const backend = hostBackend({ name: 'mine', passesFor: () => onesPasses([]) });
  const layer = new BatchNorm({ backend, numFeatures: 1, dtype: 'float64' });
  const input = { data: Float64Array.from(x.data), shape: x.shape };
  expect((await layer.forward(input)).data).toEqual(Float64Array.of(1, 1, 1, 1));
  const out = { data: allocate('float64', 4), shape: x.shape };
  expect(await layer.forward(input, { out })).toBe(out);
  expect(out.data).toEqual(Float64Array.of(1, 1, 1, 1));
});

it('answers DISPOSED after dispose(), which may be called again', async () => {
  const backend = hostBackend({ name: 'mine', passesFor: () => onesPasses([]) });
  await backend.dispose();
  await backend.dispose();
  for (const call of [() => backend.upload(x), () => new BatchNorm({ backend, numFeatures: 1 }).forward(x)]) {
    const error = await (async () => call())().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BatchNormError);
    expect(error).toMatchObject({ code: 'DISPOSED', message: expect.stringContaining("backend 'mine'") });
  }
});

it('adds up no gradients that nobody asks for: with constant statistics, dx is a normalisation of dy', async () => {
  for (const [options, sums] of [
    [{ affine: false }, 0],
    [{ scale: false }, 1],
  ] as const) {
    const asked: string[] = [];
    const backend = hostBackend({ name: 'mine', passesFor: () => onesPasses(asked) });
    const layer = new BatchNorm({ backend, numFeatures: 1, ...options });
    await layer.forward(x, { training: false });
    await layer.backward(x);
    expect(asked.filter((pass) => pass === 'gradientSums')).toHaveLength(sums);
  }
});

it('adds up small products of float64 again, but not those of a channel that ReLU left nothing of', async () => {
  const float64 = (...data: number[]) => ({ data: Float64Array.from(data), shape: [data.length, 1] });
  for (const [beta, sums] of [
    [-7, 1],
    [7, 2],
  ] as const) {
    const asked: string[] = [];
    const passes = onesPasses(asked);
    const gradientSums: HostPasses['gradientSums'] = (_forward, _dy, dgamma, dbeta) => {
      asked.push('gradientSums');
      dgamma.fill(0);
      dbeta.fill(0);
    };
    const backend = hostBackend({ name: 'mine', passesFor: () => ({ ...passes, gradientSums }) });
    const layer = new BatchNorm({ backend, numFeatures: 1, dtype: 'float64', activation: 'relu' });
    layer.beta.fill(beta);
    await layer.forward(float64(1, 2, 0));
    await layer.backward(float64(1e-320, -1e-320, 1e-320));
    expect(asked.filter((pass) => pass === 'gradientSums')).toHaveLength(sums);
  }
});
