// Batch norms of other frameworks as layers here, and back.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, type BatchNormState, resolveLayerOptions } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fromKeras,
  fromOnnx,
  fromPyTorch,
  type LayerWeights,
  type PyTorchHyperparameters,
  type PyTorchStateDict,
  toKeras,
  toOnnx,
  toPyTorch,
} from '../src/index.js';
import { type JsonTensor, jsonFixture } from './fixtures.js';

interface ObservedLayer {
  readonly hyperparameters: PyTorchHyperparameters;
  readonly before: PyTorchStateDict & Readonly<Record<string, JsonTensor>>;
  readonly x: JsonTensor;
  readonly y: JsonTensor;
  readonly trainedY: JsonTensor;
  readonly after: Readonly<Record<string, JsonTensor>>;
}

const observed = await jsonFixture<Readonly<Record<string, ObservedLayer>>>('layers.json');
const backend = await createJsBackend();

async function layerOf({ options, state }: LayerWeights): Promise<BatchNorm> {
  const layer = new BatchNorm({ backend, ...options });
  await layer.loadState(state);
  return layer;
}

/**
 * Both compute in float32 from the same float32 numbers, of size 10 at most after normalisation: PyTorch's error is some
 * units of 2⁻²⁴ for each of the some ten operations and for its sums of at most 18 values, and ours less.
 */
const tolerance = 10 * (10 + 18) * 2 ** -24;

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [k, value] of expected.entries()) {
    expect(Math.abs(actual[k]! - value) / Math.max(1, Math.abs(value) / 10), `element ${k}`).toBeLessThan(tolerance);
  }
}

describe('a batch norm of PyTorch', () => {
  it.each(Object.keys(observed))('computes and learns here what it does there: %s', async (name) => {
    const { hyperparameters, before, x, y, trainedY, after } = observed[name]!;
    const weights = fromPyTorch(before, hyperparameters);
    expect(weights.options).toMatchObject({ axis: 1, varianceEstimator: 'sample', singleValue: 'reject' });
    const layer = await layerOf(weights);
    const batch = { data: Float32Array.from(x.data), shape: x.shape };
    expectClose((await layer.forward(batch, { training: false })).data, y.data);
    expectClose((await layer.forward(batch)).data, trainedY.data);
    expectClose(layer.runningMean, after.running_mean!.data);
    expectClose(layer.runningVariance, after.running_var!.data);
    expect(layer.batchesTracked).toBe(after.num_batches_tracked!.data[0]);
  });

  it('goes back to the same state dict and hyperparameters, to the bit', () => {
    for (const { before, hyperparameters } of Object.values(observed)) {
      const back = toPyTorch(fromPyTorch(before, hyperparameters));
      expect(back.hyperparameters).toMatchObject(hyperparameters);
      for (const [name, { data, shape }] of Object.entries(before)) {
        const tensor = back.stateDict[name as keyof typeof back.stateDict]!;
        expect([Array.from(tensor.data, Number), tensor.shape]).toEqual([data, shape]);
      }
      expect(Object.keys(back.stateDict).sort()).toEqual(Object.keys(before).sort());
    }
  });

  it('has every momentum of up to three digits again', () => {
    const vector = [1];
    for (let k = 0; k <= 1000; k++) {
      const momentum = k / 1000;
      const { state } = fromPyTorch({ running_mean: vector, running_var: vector }, { eps: 1e-5, momentum });
      expect(state.options.momentum).toBe(1 - momentum);
      expect(toPyTorch(state).hyperparameters.momentum).toBe(momentum);
    }
  });

  const good = { weight: [1, 2], bias: [3, 4], running_mean: [5, 6], running_var: [7, 8], num_batches_tracked: 9n };
  const hyperparameters = { eps: 1e-5, momentum: 0.1 };

  it('has tensors of float16 bits, and counts of 64 bits', () => {
    const { state } = fromPyTorch(
      {
        ...good,
        weight: Uint16Array.of(0x3c00, 0xc000),
        num_batches_tracked: { data: BigInt64Array.of(5n), shape: [] },
      },
      hyperparameters,
    );
    expect(state).toMatchObject({ gamma: [1, -2], batchesTracked: 5 });
    const whole = { dtype: 'U16', data: Uint16Array.of(1, 2), shape: [2] };
    expect(fromPyTorch({ ...good, weight: whole }, hyperparameters).state.gamma).toEqual([1, 2]);
  });

  it.each([
    ['no hyperparameters', good, {}, 'INVALID_OPTION', /no eps, no momentum/],
    ['no eps', good, { momentum: 0.1 }, 'INVALID_OPTION', /no eps, expected/],
    ['no momentum', good, { eps: 1e-5 }, 'INVALID_OPTION', /no momentum, expected/],
    ['an eps that can not be', good, { eps: -1, momentum: 0.1 }, 'INVALID_OPTION', /epsilon -1/],
    ['a momentum that can not be', good, { eps: 1e-5, momentum: 1.5 }, 'INVALID_OPTION', /momentum 1.5/],
    ['a prefix', { 'bn1.weight': [1] }, hyperparameters, 'INVALID_STATE', /'bn1.weight'/],
    ['nothing', {}, hyperparameters, 'INVALID_STATE', /no tensor/],
    ['a mean alone', { running_mean: [1] }, hyperparameters, 'INVALID_STATE', /running_mean alone/],
    ['other lengths', { ...good, bias: [1] }, hyperparameters, 'INVALID_STATE', /1 numbers of bias, expected 2/],
    ['NaN', { ...good, running_mean: [0, Number.NaN] }, hyperparameters, 'INVALID_STATE', /running_mean\[1\] = NaN/],
    [
      'a negative variance',
      { ...good, running_var: [1, -1] },
      hyperparameters,
      'INVALID_STATE',
      /running_var\[1\] = -1/,
    ],
    [
      'a matrix',
      { ...good, weight: { data: [1, 2], shape: [1, 2] } },
      hyperparameters,
      'INVALID_STATE',
      /shape \[1,2\]/,
    ],
    [
      'a column',
      { ...good, weight: { data: [1, 2], shape: [2, 1] } },
      hyperparameters,
      'INVALID_STATE',
      /shape \[2,1\]/,
    ],
    [
      'no count',
      { ...good, num_batches_tracked: undefined },
      { eps: 0, momentum: null },
      'INVALID_STATE',
      /no num_batches/,
    ],
    [
      'half a count',
      { ...good, num_batches_tracked: 0.5 },
      hyperparameters,
      'INVALID_STATE',
      /num_batches_tracked 0.5/,
    ],
  ] as const)('is refused: %s', async (_, stateDict, given, code, message) => {
    await expectCode(code, () => fromPyTorch(stateDict as never, given as never), message);
  });
});

const vectors = { gamma: [1, 2], beta: [3, 4], moving_mean: [5, 6], moving_variance: [7, 8] };
const config = { axis: -1, momentum: 0.99, epsilon: 1e-3 };

describe('a batch norm of Keras', () => {
  it('has the options of docs/weights.md', () => {
    const { options, state } = fromKeras(vectors, config);
    expect(options).toMatchObject({
      ...{ numFeatures: 2, momentum: 0.99, epsilon: 1e-3, axis: -1, varianceEstimator: 'population' },
      ...{ singleValue: 'allow', scale: true, center: true },
    });
    expect(state).toMatchObject({ gamma: [1, 2], beta: [3, 4], runningMean: [5, 6], runningVariance: [7, 8] });
    expect(fromKeras(vectors, { ...config, axis: [3] }).options.axis).toBe(3);
    expect(fromKeras(vectors, config, { varianceEstimator: 'sample' }).options.varianceEstimator).toBe('sample');
  });

  it('goes back with what it has alone', () => {
    const { beta: _, ...without } = vectors;
    const { weights, config: back } = toKeras(fromKeras(without, { ...config, center: false }));
    expect(back).toEqual({ ...config, scale: true, center: false });
    expect(Object.keys(weights)).toEqual(['gamma', 'moving_mean', 'moving_variance']);
    expect(weights.moving_variance!.data).toEqual(Float32Array.of(7, 8));
  });

  it.each([
    ['no axis', vectors, { momentum: 0.99, epsilon: 1e-3 }, 'INVALID_OPTION', /no axis, expected/],
    ['two axes', vectors, { ...config, axis: [1, 2] }, 'UNSUPPORTED', /axis \[1,2\]/],
    ['renormalisation', vectors, { ...config, renorm: true }, 'UNSUPPORTED', /renorm true/],
    ['a gamma that the config denies', vectors, { ...config, scale: false }, 'INVALID_STATE', /gamma with scale false/],
    ['no variance', { ...vectors, moving_variance: undefined }, config, 'INVALID_OPTION', /no moving_variance/],
  ] as const)('is refused: %s', async (_, weights, given, code, message) => {
    await expectCode(code, () => fromKeras(weights as never, given as never), message);
  });
});

describe('a batch norm of ONNX', () => {
  const inputs = { scale: [1, 2], B: [3, 4], input_mean: [5, 6], input_var: [7, 8] };

  it('goes through a layer here and back', () => {
    const attributes = { epsilon: Math.fround(1e-5), momentum: Math.fround(0.9) };
    const translated = fromOnnx(inputs, attributes);
    expect(translated.options).toMatchObject({ axis: 1, varianceEstimator: 'population', ...attributes });
    const back = toOnnx(translated);
    expect(back.attributes).toEqual(attributes);
    for (const [name, values] of Object.entries(inputs)) {
      expect(Array.from(back.inputs[name as keyof typeof inputs].data, Number)).toEqual(values);
    }
  });

  it('is refused without attributes, and with statistics of every element', async () => {
    await expectCode('INVALID_OPTION', () => fromOnnx(inputs, {} as never), /no epsilon, no momentum/);
    const attributes = { epsilon: 1e-5, momentum: 0.9 };
    await expectCode('UNSUPPORTED', () => fromOnnx(inputs, { ...attributes, spatial: 0 }), /spatial 0/);
  });
});

describe('a translation', () => {
  const state = (options: object): BatchNormState => {
    const { numFeatures, ...resolved } = resolveLayerOptions({ numFeatures: 2, ...options });
    const vector = (has: boolean) => (has ? [1, 2] : []);
    const { scale, center, trackRunningStatistics: tracks } = resolved;
    return {
      ...{ formatVersion: 2, numFeatures, options: resolved, gamma: vector(scale), beta: vector(center) },
      ...{ runningMean: vector(tracks), runningVariance: vector(tracks), batchesTracked: 1 },
    };
  };
  const pyTorch = { varianceEstimator: 'sample' };

  it.each([
    [toPyTorch, { ...pyTorch, axis: -1 }, /axis -1/],
    [toPyTorch, { ...pyTorch, activation: 'relu' }, /activation 'relu'/],
    [toPyTorch, { ...pyTorch, scale: false }, /beta alone/],
    [toPyTorch, {}, /varianceEstimator 'population'/],
    [toPyTorch, { ...pyTorch, momentum: 'exact' }, /momentum 'exact'/],
    [toKeras, pyTorch, /varianceEstimator 'sample'/],
    [toKeras, { momentum: 'cumulative' }, /momentum 'cumulative'/],
    [toKeras, { trackRunningStatistics: false }, /trackRunningStatistics false/],
    [toOnnx, pyTorch, /varianceEstimator 'sample'/],
    [toOnnx, { axis: -1 }, /axis -1/],
  ] as const)('%o refuses what the framework can not hold: %j', async (translate, options, message) => {
    await expectCode('UNSUPPORTED', () => translate(state(options)), message);
  });

  it('for inference keeps what inference reads, and no more', () => {
    const { stateDict, hyperparameters } = toPyTorch(state({ scale: false, momentum: 'exact' }), {
      purpose: 'inference',
    });
    expect(stateDict.weight!.data).toEqual(Float32Array.of(1, 1));
    expect(stateDict.bias!.data).toEqual(Float32Array.of(1, 2));
    expect(hyperparameters).not.toHaveProperty('momentum');
    expect(toKeras(state(pyTorch), { purpose: 'inference' }).config).toMatchObject({ momentum: 0.9 });
  });

  it('rounds once to float32, or not at all, and refuses what float32 can not hold', async () => {
    const tenth = { ...state(pyTorch), runningMean: [0.1, 1e300] };
    expect(toPyTorch(tenth, { dtype: 'F64' }).stateDict.running_mean!.data).toEqual(Float64Array.of(0.1, 1e300));
    await expectCode('INVALID_STATE', () => toPyTorch(tenth), /running_mean\[1\] = 1e\+300/);
  });

  it('takes a state, and says so where it gets a layer or a state without options', async () => {
    const layer = new BatchNorm({ backend, numFeatures: 2 });
    expect(toOnnx(await layer.state()).inputs.input_var.data).toEqual(Float32Array.of(1, 1));
    await expectCode('INVALID_STATE', () => toOnnx(layer as never), /await layer\.state\(\)/);
    await expectCode('INVALID_STATE', () => toOnnx({ ...state({}), formatVersion: 1 } as never), /formatVersion 1/);
    await expectCode('INVALID_OPTION', () => toOnnx(state({}), { purpose: 'fun' } as never), /purpose 'fun'/);
    const negative = { ...state({}), runningVariance: [1, -1] };
    await expectCode('INVALID_STATE', () => toOnnx(negative), /runningVariance\[1\] = -1/);
  });

  it('there and back is the same state, whatever its numbers', () => {
    const float = fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    const vector = (value: fc.Arbitrary<number>) => fc.array(value, { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(
        fc.tuple(vector(float), vector(float), vector(float), vector(float.map(Math.abs))),
        fc.nat(),
        fc.integer({ min: 0, max: 1e6 }).map((k) => k / 1e6),
        ([weight, bias, running_mean, running_var], num_batches_tracked, momentum) => {
          const { state: first } = fromPyTorch(
            { weight, bias, running_mean, running_var, num_batches_tracked },
            { eps: 1e-5, momentum },
          );
          const { stateDict, hyperparameters } = toPyTorch(first);
          const { eps, momentum: back } = hyperparameters;
          expect(fromPyTorch(stateDict, { eps, momentum: back! }).state).toEqual(first);
        },
      ),
      { seed: 17 },
    );
  });
});
