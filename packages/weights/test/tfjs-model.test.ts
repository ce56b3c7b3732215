// Models of TensorFlow.js, made by hand as its converter writes them.

import { expectCode } from '@batchnorm/testing/expect-code';
import { io } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import '@tensorflow/tfjs-backend-cpu';
import { type FileTensor, findBatchNorms, openTfjs, writeTfjs } from '../src/index.js';

const names = ['gamma', 'beta', 'moving_mean', 'moving_variance'];
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const layer = (name: string, config = {}) => ({
  class_name: 'BatchNormalization',
  config: { name, axis: [3], momentum: 0.99, epsilon: 0.001, center: true, scale: true, ...config },
});
const topology = (...layers: unknown[]) => ({ model_config: { class_name: 'Sequential', config: { layers } } });
const weights = names.map((name) => ({ name: `model/bn/${name}`, shape: [2], dtype: 'float32' }));
const numbers = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer);
/** Its elements lie in two shards, the third vector in both. */
const model = { modelTopology: topology(layer('bn')), weightsManifest: [{ paths: ['a.bin', 'b.bin'], weights }] };
const shards: Readonly<Record<string, Uint8Array>> = {
  'a.bin': numbers.subarray(0, 19),
  'b.bin': numbers.subarray(19),
};
const open = (path: string) => shards[path]!;

describe('a model of TensorFlow.js', () => {
  it('has batch norms with their configs', async () => {
    const [found, ...others] = findBatchNorms(await openTfjs(json(model), open));
    expect(others).toEqual([]);
    expect(found).toMatchObject({ name: 'model/bn', convention: 'Keras', channels: 2 });
    const { options, state } = await found!.load();
    expect(options).toMatchObject({ momentum: 0.99, epsilon: 0.001, axis: 3, varianceEstimator: 'population' });
    expect(state).toMatchObject({ gamma: [1, 2], beta: [3, 4], runningMean: [5, 6], runningVariance: [7, 8] });
    // The momentum of PyTorch would be taken for that of Keras.
    await expectCode(
      'INVALID_OPTION',
      () => found!.load({ eps: 1e-5, momentum: 0.1 }),
      /'eps' for a batch norm of Keras/,
    );
  });

  it('without a config of the layer, or with two of one name, has to be told', async () => {
    for (const layers of [[], [layer('bn'), layer('bn', { epsilon: 1 })]]) {
      const file = await openTfjs(json({ ...model, modelTopology: topology(...layers) }), open);
      const [found] = findBatchNorms(file);
      await expectCode('INVALID_OPTION', () => found!.load(), /no axis, no momentum, no epsilon/);
      const { options } = await found!.load({ axis: -1, momentum: 0.9, epsilon: 0.5 });
      expect(options.epsilon).toBe(0.5);
    }
  });

  it('has quantised tensors as floats', async () => {
    const manifest = [
      {
        paths: ['q.bin'],
        weights: [
          { name: 'a', shape: [2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
          { name: 'b', shape: [1], dtype: 'float32', quantization: { dtype: 'float16' } },
          { name: 'c', shape: [1], dtype: 'int32' },
        ],
      },
    ];
    const bytes = Uint8Array.of(0, 200, 0x00, 0x3c, 7, 0, 0, 0);
    const file = await openTfjs(json({ weightsManifest: manifest }), () => bytes);
    expect((await file.read('a')).data).toEqual(Float32Array.of(-1, 99));
    expect((await file.read('b')).data).toEqual(Float32Array.of(1));
    expect((await file.read('c')).data).toEqual(Int32Array.of(7));
  });

  it.each([
    { dtype: 'uint8' },
    { dtype: 'uint8', scale: 0.5 },
    { dtype: 'uint16', min: 0 },
    { dtype: 'uint8', scale: '1', min: 0 },
    { dtype: 'uint8', scale: 1, min: null },
    { dtype: 'float32', scale: 1, min: 0 },
    { dtype: 'int32', scale: 1, min: 0 },
    { dtype: 'uint4', scale: 1, min: 0 },
  ])('is refused with a tensor quantised as %o', async (quantization) => {
    const manifest = [{ paths: ['q.bin'], weights: [{ name: 'a', shape: [1], dtype: 'float32', quantization }] }];
    const opening = () => openTfjs(json({ weightsManifest: manifest }), () => Uint8Array.of(1));
    await expectCode('INVALID_FILE', opening, /quantization of 'a'/);
  });

  it.each([
    ['no manifest', {}, 'INVALID_FILE', /weightsManifest/],
    ['a path to elsewhere', { weightsManifest: [{ paths: ['a/../../b'], weights }] }, 'INVALID_FILE', /shard/],
    ['a path from the root', { weightsManifest: [{ paths: ['/etc/passwd'], weights }] }, 'INVALID_FILE', /shard/],
    ...['.', 'a/.', 'a//b', 'a/', '', '..'].map(
      (path) =>
        [`the path '${path}'`, { weightsManifest: [{ paths: [path], weights }] }, 'INVALID_FILE', /shard/] as const,
    ),
    ['too few bytes', { weightsManifest: [{ paths: ['a.bin'], weights }] }, 'INVALID_FILE', /19 bytes/],
    [
      'texts',
      { weightsManifest: [{ paths: [], weights: [{ name: 'a', shape: [1], dtype: 'string' }] }] },
      'UNSUPPORTED',
      /'string'/,
    ],
    [
      'a name twice',
      { weightsManifest: [{ paths: ['a.bin'], weights: [weights[0], weights[0]] }] },
      'INVALID_FILE',
      /two/,
    ],
  ] as const)('is refused: %s', async (_, value, code, message) => {
    await expectCode(code, () => openTfjs(json(value), open), message);
  });
});

describe('a model written for TensorFlow.js', () => {
  const tensors: Readonly<Record<string, FileTensor>> = {
    ...Object.fromEntries(
      names.map((name, k) => [`bn/${name}`, { dtype: 'F32', shape: [2], data: Float32Array.of(k + 0.1, k + 0.2) }]),
    ),
    steps: { dtype: 'I32', shape: [], data: Int32Array.of(-7) },
    flags: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
    none: { dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
  };

  it('is read by TensorFlow.js, and here, to the bit', async () => {
    const files = writeTfjs(tensors, topology(layer('bn')));
    const { weightsManifest } = JSON.parse(new TextDecoder().decode(files['model.json']));
    const { buffer } = files['group1-shard1of1.bin'];
    const decoded = io.decodeWeights(buffer as ArrayBuffer, weightsManifest[0].weights);
    const file = await openTfjs(files['model.json'], (path) => files[path as keyof typeof files]);
    for (const [name, { shape, data, dtype }] of Object.entries(tensors)) {
      expect([...decoded[name]!.dataSync()], name).toEqual([...(data as Float32Array)]);
      expect(decoded[name]!.shape).toEqual(shape);
      expect(await file.read(name)).toEqual({ dtype, shape, data });
    }
    const { options } = await findBatchNorms(file)[0]!.load();
    expect(options.epsilon).toBe(0.001);
  });

  it('is refused of what TensorFlow.js has no weights of', async () => {
    for (const [dtype, data] of [
      ['F64', new Float64Array(1)],
      ['F16', new Float32Array(1)],
      ['I64', new BigInt64Array(1)],
    ] as const) {
      await expectCode('UNSUPPORTED', () => writeTfjs({ a: { dtype, shape: [1], data } }), new RegExp(dtype));
    }
    await expectCode('INVALID_TENSOR', () => writeTfjs({ a: { dtype: 'F32', shape: [2], data: new Float32Array(1) } }));
    await expectCode('INVALID_OPTION', () => writeTfjs(null as never));
    await expectCode('INVALID_OPTION', () => writeTfjs(new Map([['\ud800', tensors.none!]])), /surrogates/);
  });

  const cyclic = { self: {} };
  cyclic.self = cyclic;
  const throwing = () => {
    throw new Error('within');
  };

  it.each([
    ['null', null],
    ['a list', []],
    ['a cycle', cyclic],
    ['a bigint', { a: 1n }],
    ['a toJSON that throws', { toJSON: throwing }],
    ['a toJSON that gives nothing', { toJSON: () => undefined }],
    ['a toJSON that gives a number', { toJSON: () => 7 }],
  ])('is refused with a topology of %s', (_, modelTopology) =>
    expectCode('INVALID_OPTION', () => writeTfjs(tensors, modelTopology as never), /modelTopology/),
  );
});
