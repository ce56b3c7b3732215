// The layer among what TensorFlow.js has: saved and loaded, shared, frozen, in tidy, with memory and errors.
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import type { Backend } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import * as tf from '@tensorflow/tfjs-core';
import { input, type LayersModel, layers, loadLayersModel, model, sequential } from '@tensorflow/tfjs-layers';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../src/index.js';
import { seededTensor, weightsOf } from './tensors.js';

const backend = createJsBackend();
const wasm = await createWasmBackend({ threads: 1 });
afterAll(() => wasm.dispose());

const BatchNorm = registerBatchNorm(backend);
const x = seededTensor([12, 4], 1);

/** Two layers, of which the second is a batch norm with running statistics that are no defaults. */
function trained(layer: layers.Layer): LayersModel {
  const made = sequential({ layers: [layers.dense({ units: 3, inputShape: [4] }), layer] });
  for (let step = 0; step < 3; step++) tf.dispose(made.apply(x, { training: true }) as tf.Tensor);
  return made;
}

async function saved(made: LayersModel): Promise<tf.io.ModelArtifacts> {
  let artifacts: tf.io.ModelArtifacts | undefined;
  await made.save(
    tf.io.withSaveHandler(async (given) => {
      artifacts = given;
      return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(given) };
    }),
  );
  return artifacts!;
}

const load = (artifacts: tf.io.ModelArtifacts) => loadLayersModel(tf.io.fromMemory(artifacts));
const bits = (value: unknown) => [...(value as tf.Tensor).dataSync()];

describe('a model that is saved', () => {
  it('is the same when it is loaded: weights by their Keras names, config, and results to the bit', async () => {
    const args = {
      axis: -1,
      momentum: 0.8,
      epsilon: 0.02,
      betaInitializer: 'ones' as const,
      gammaRegularizer: 'l1l2' as const,
    };
    const made = trained(new BatchNorm({ ...args, name: 'norm' }));
    const artifacts = await saved(made);
    expect(artifacts.weightSpecs!.map(({ name }) => name).slice(2)).toEqual([
      ...['norm/gamma', 'norm/beta', 'norm/moving_mean', 'norm/moving_variance'],
    ]);
    const loaded = await load(artifacts);
    const layer = loaded.layers.at(-1)!;
    expect(layer).toBeInstanceOf(BatchNorm);
    expect(layer.getConfig()).toEqual(made.layers.at(-1)!.getConfig());
    expect(layer.getConfig()).toMatchObject({ momentum: 0.8, epsilon: 0.02, scale: true, center: true });
    expect(bits(loaded.predict(x))).toEqual(bits(made.predict(x)));
    for (const name of ['moving_mean', 'moving_variance', 'beta']) {
      expect(bits(weightsOf(layer)[name])).toEqual(bits(weightsOf(made.layers.at(-1)!)[name]));
    }
  });

  it('has the weights and the config that the layer of TensorFlow.js has', async () => {
    const [ours, theirs] = [new BatchNorm({ name: 'a' }), layers.batchNormalization({ name: 'a' })];
    expect(ours.getConfig()).toEqual(theirs.getConfig());
    for (const layer of [ours, theirs]) layer.build([2, 3]);
    expect(Object.keys(weightsOf(ours))).toEqual(Object.keys(weightsOf(theirs)));
    expect(ours.countParams()).toBe(theirs.countParams());
    expect(ours.trainableWeights).toHaveLength(2);
    expect(ours.computeOutputShape([null, 3])).toEqual([null, 3]);
  });

  it('goes from TensorFlow.js to here and back under its class name', async () => {
    const theirs = trained(layers.batchNormalization({ name: 'norm' }));
    const original = Object.getPrototypeOf(theirs.layers.at(-1)).constructor;
    const Replacing = registerBatchNorm(backend, { className: 'BatchNormalization' });
    try {
      const here = await load(await saved(theirs));
      expect(here.layers.at(-1)).toBeInstanceOf(Replacing);
      const [received, expected] = [here, theirs].map((each) => bits(each.predict(x)));
      received!.forEach((value, k) => {
        expect(value).toBeCloseTo(expected![k]!, 5);
      });
      const artifacts = await saved(here);
      tf.serialization.registerClass(original);
      const back = await load(artifacts);
      expect(back.layers.at(-1)).not.toBeInstanceOf(Replacing);
      expect(bits(back.predict(x))).toEqual(expected);
    } finally {
      tf.serialization.registerClass(original);
    }
  });
});

describe('memory', () => {
  afterEach(() => tf.disposeVariables());

  it.each<Backend>([backend, wasm])('is steady over 500 steps on $name', (on) => {
    const layer = new (registerBatchNorm(on))();
    const made = sequential({ layers: [layers.dense({ units: 3, inputShape: [4] }), layer] });
    const optimizer = tf.train.sgd(0.01);
    const step = () => {
      optimizer.minimize(() => tf.sum(tf.square(made.apply(x, { training: true }) as tf.Tensor)) as tf.Scalar);
      tf.dispose(made.predict(x) as tf.Tensor);
    };
    const used = () => [tf.memory().numTensors, tf.memory().numBytes, on.allocatedBytes?.() ?? 0];
    for (let k = 0; k < 5; k++) step();
    const before = used();
    for (let k = 0; k < 500; k++) step();
    expect(used()).toEqual(before);
  });

  it('is given back by dispose(), also what waits for its gradient', async () => {
    const before = tf.memory().numTensors;
    const allocated = wasm.allocatedBytes!();
    const layer = new (registerBatchNorm(wasm))();
    const made = sequential({ layers: [layers.inputLayer({ inputShape: [4] }), layer] });
    const probe = tf.grad((input) => {
      // Two forwards, of which one has no part in the gradient.
      tf.dispose(layer.apply(input, { training: true }) as tf.Tensor);
      return tf.sum(layer.apply(input, { training: true }) as tf.Tensor);
    })(x);
    probe.dispose();
    made.dispose();
    expect(tf.memory().numTensors).toBe(before);
    await expect.poll(() => wasm.allocatedBytes!()).toBe(allocated);
    expect(() => layer.apply(x)).toThrow(/disposed/);
  });

  it('holds nothing but y after a call in tidy, and y is the caller’s', () => {
    const layer = new BatchNorm();
    layer.build([12, 4]);
    const before = tf.memory().numTensors;
    const y = tf.tidy(() => layer.apply(x, { training: true }) as tf.Tensor);
    expect(tf.memory().numTensors).toBe(before + 1);
    const kept = bits(y);
    tf.dispose(layer.apply(seededTensor([12, 4], 9), { training: true }) as tf.Tensor);
    expect(bits(y)).toEqual(kept);
  });
});

describe('a layer', () => {
  it('may be called several times before its gradients, and be part of two models', () => {
    const layer = new BatchNorm();
    const [a, b] = [input({ shape: [4] }), input({ shape: [4] })];
    const twice = model({
      inputs: [a, b],
      outputs: layers.add().apply([layer.apply(a), layer.apply(b)] as never) as never,
    });
    const once = model({ inputs: a, outputs: layer.apply(a) as never });
    const [x1, x2] = [seededTensor([6, 4], 2), seededTensor([9, 4], 3)];
    const weight = seededTensor([6, 4], 4);
    const alone = tf.grad((given) => tf.sum(tf.mul(once.apply(given, { training: true }) as tf.Tensor, weight)))(x1);
    const [both] = tf.grads((first: tf.Tensor, second: tf.Tensor) =>
      tf.sum(tf.mul(twice.apply([first, second], { training: true }) as tf.Tensor, weight)),
    )([x1, tf.slice(x2, [0, 0], [6, 4])]) as [tf.Tensor, tf.Tensor];
    expect(bits(both)).toEqual(bits(alone));
  });

  it('is built for one shape, also where that is a list of one, and not for none or two', () => {
    const listed = new BatchNorm();
    listed.build([[12, 4]]);
    expect(bits(listed.apply(x))).toEqual(bits(new BatchNorm().apply(x)));
    for (const shape of [
      [
        [12, 4],
        [12, 4],
      ],
      [12, null],
      [],
    ])
      expect(() => new BatchNorm().build(shape)).toThrow();
  });

  it('takes batches of any size', () => {
    const made = sequential({ layers: [layers.inputLayer({ inputShape: [4] }), new BatchNorm()] });
    for (const size of [1, 7, 12, 3]) {
      expect((made.predict(seededTensor([size, 4], size)) as tf.Tensor).shape).toEqual([size, 4]);
      expect((made.apply(seededTensor([size, 4], size), { training: true }) as tf.Tensor).shape).toEqual([size, 4]);
    }
  });

  it('keeps gamma and beta where they are when it is not trainable', async () => {
    const layer = new BatchNorm({ trainable: false });
    const made = sequential({ layers: [layers.dense({ units: 4, inputShape: [4] }), layer] });
    made.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
    expect(layer.trainableWeights).toEqual([]);
    const before = made.layers[0]!.getWeights().map(bits);
    await made.fit(x, x, { epochs: 1, verbose: 0 });
    expect(bits(weightsOf(layer).gamma)).toEqual([1, 1, 1, 1]);
    expect(bits(weightsOf(layer).beta)).toEqual([0, 0, 0, 0]);
    expect(made.layers[0]!.getWeights().map(bits)).not.toEqual(before);
  });

  it('follows what is trainable when that changes: weights keep their names', () => {
    const layer = new BatchNorm();
    layer.build([12, 4]);
    layer.weights[0]!.trainable = false;
    layer.weights.forEach((weight) => {
      if (weight.originalName.endsWith('gamma')) weight.write(tf.fill([4], 2));
    });
    const doubled = bits(layer.apply(x, { training: true }));
    const plain = new BatchNorm();
    expect(doubled).toEqual(bits(tf.mul(plain.apply(x, { training: true }) as tf.Tensor, 2)));
  });

  it('gives a first gradient inside of the computation of another', () => {
    const layer = new BatchNorm();
    const weight = seededTensor([12, 4], 5);
    const loss = (given: tf.Tensor) => tf.sum(tf.mul(layer.apply(given, { training: true }) as tf.Tensor, weight));
    const wanted = bits(tf.grad(loss)(x));
    const received = tf.grad((given) => tf.valueAndGrad(loss)(given).value)(x);
    expect(bits(received)).toEqual(wanted);
  });

  it('computes on the backend of its class, whichever was registered last', () => {
    const OnWasm = registerBatchNorm(wasm, { className: 'Watched' });
    registerBatchNorm(backend, { className: 'Watched' });
    const before = wasm.allocatedBytes!();
    new OnWasm().apply(x, { training: true });
    expect(wasm.allocatedBytes!()).toBeGreaterThan(before);
  });
});

describe('what can’t be is refused with a code', () => {
  const built = (args = {}) => {
    const layer = new BatchNorm(args);
    layer.build([12, 4]);
    return layer;
  };

  it('when the class is made', async () => {
    await expectCode('INVALID_OPTION', () => registerBatchNorm({} as never));
    await expectCode('INVALID_OPTION', () => registerBatchNorm(backend, { name: 'x' } as never));
    for (const className of ['', 'a b', 7, null, '1x', 'a>b']) {
      await expectCode('INVALID_OPTION', () => registerBatchNorm(backend, { className } as never), /className/);
    }
    const { classNameMap } = tf.serialization.SerializationMap.getMap();
    for (const className of ['Dense', 'LayerNormalization', 'Sequential', 'Zeros', 'SGD']) {
      const before = classNameMap[className];
      expect(before, className).toBeDefined();
      await expectCode('INVALID_OPTION', () => registerBatchNorm(backend, { className }), /another class/);
      expect(classNameMap[className]).toBe(before);
    }
    const capabilities = { ...backend.capabilities, synchronous: false };
    const waiting = new Proxy(backend, {
      get: (of, key) => (key === 'capabilities' ? capabilities : Reflect.get(of, key)),
    });
    await expectCode('UNSUPPORTED', () => registerBatchNorm(waiting), /synchronous/);
  });

  it('a name that no class has is free, and one that a class from here has may be taken again', () => {
    for (const className of ['constructor', 'BatchNormAnew', 'BatchNormAnew']) {
      expect(registerBatchNorm(backend, { className }).className).toBe(className);
    }
  });

  it('a batch of no rows, in inference, too', async () => {
    const [here, theirs] = [new BatchNorm(), layers.batchNormalization()].map((layer) =>
      sequential({ layers: [layers.inputLayer({ inputShape: [4] }), layer] }),
    );
    const none = tf.zeros([0, 4]);
    await expectCode('EMPTY_BATCH', () => here!.apply(none));
    await expectCode('EMPTY_BATCH', () => here!.apply(none, { training: true }));
    for (const made of [here, theirs]) expect(() => made!.predict(none)).toThrow(/concat/);
    expect((theirs!.apply(none) as tf.Tensor).shape).toEqual([0, 4]);
  });

  it.each([{ epsilon: -1 }, { epsilon: Number.NaN }, { momentum: 1.5 }, { momentum: '0.9' }, { axis: 0.5 }])(
    'when a layer is built with %o, and no weight is made',
    async (args) => {
      const before = tf.memory().numTensors;
      await expectCode('INVALID_OPTION', () => built(args as never));
      expect(tf.memory().numTensors).toBe(before);
    },
  );

  it.each(['int32', 'bool', 'complex64'] as const)('when x is %s', async (dtype) => {
    const layer = built();
    const other = dtype === 'complex64' ? tf.complex(x, x) : tf.cast(x, dtype);
    for (const training of [true, false]) {
      await expectCode('DTYPE_MISMATCH', () => layer.apply(other, { training }), new RegExp(dtype));
    }
  });

  it('when a batch has no values, or values that are not finite, and nothing has changed', async () => {
    const layer = built();
    const before = Object.values(weightsOf(layer)).map(bits);
    const poisoned = tf.fill([12, 4], Number.NaN);
    await expectCode('EMPTY_BATCH', () => layer.apply(tf.zeros([0, 4]), { training: true }));
    await expectCode('NON_FINITE_STATISTICS', () => layer.apply(poisoned, { training: true }));
    await expectCode('NON_FINITE_STATISTICS', () =>
      tf.grad((given) => tf.sum(layer.apply(given, { training: true }) as tf.Tensor))(poisoned),
    );
    expect(Object.values(weightsOf(layer)).map(bits)).toEqual(before);
  });

  it('when a weight can’t be', async () => {
    const layer = built();
    for (const [k, value] of [
      [0, Number.NaN],
      [1, Infinity],
      [2, -Infinity],
      [3, -1],
    ] as const) {
      const healthy = layer.getWeights().map((weight) => weight.clone());
      layer.setWeights(healthy.map((weight, at) => (at === k ? tf.fill([4], value) : weight)));
      await expectCode('INVALID_STATE', () => layer.apply(x));
      layer.setWeights(healthy);
    }
    expect((layer.apply(x) as tf.Tensor).shape).toEqual([12, 4]);
  });

  it('when the gradient of a gradient is asked for, in any of its inputs', async () => {
    const layer = built();
    const weight = seededTensor([12, 4], 5);
    const loss = (given: tf.Tensor) =>
      tf.sum(tf.mul(layer.apply(given, { training: true }) as tf.Tensor, weight)) as tf.Scalar;
    const gradient = tf.grad(loss);
    const penalty = (given: tf.Tensor) => tf.sum(tf.square(gradient(given))) as tf.Scalar;
    await expectCode('UNSUPPORTED', () => tf.grad(penalty)(x), /gradient of a gradient/);
    const gamma = layer.weights[0]!.read() as tf.Variable;
    await expectCode('UNSUPPORTED', () => tf.variableGrads(() => penalty(x), [gamma]), /gradient of a gradient/);
    expect(bits(gradient(x))).toHaveLength(48);
  });
});
