// Results, gradients and training are those of TensorFlow.js: of its own layer where that works, and of the formula in
// its operations, which it differentiates, everywhere.
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { layers, sequential } from '@tensorflow/tfjs-layers';
import { afterAll, describe, expect, it } from 'vitest';
import { registerBatchNorm } from '../src/index.js';
import { expectClose, seededTensor, weightsOf } from './tensors.js';

const wasm = await createWasmBackend({ threads: 1 });
afterAll(() => wasm.dispose());

const epsilon = 0.01;
const momentum = 0.75;

type Weights = Record<string, tf.Tensor>;

/** The formula in operations of TensorFlow.js, and the moving statistics after it. */
function formula(
  x: tf.Tensor,
  { gamma, beta, moving_mean, moving_variance }: Weights,
  axis: number,
  training: boolean,
) {
  const channels = (axis + x.rank) % x.rank;
  const others = x.shape.map((_, k) => k).filter((k) => k !== channels);
  const { mean, variance } = training ? tf.moments(x, others) : { mean: moving_mean!, variance: moving_variance! };
  const along = (vector: tf.Tensor) =>
    tf.reshape(
      vector,
      x.shape.map((size, k) => (k === channels ? size : 1)),
    );
  const xHat = tf.div(tf.sub(x, along(mean)), tf.sqrt(tf.add(along(variance), epsilon)));
  const scaled = gamma ? tf.mul(xHat, along(gamma)) : xHat;
  const average = (old: tf.Tensor, now: tf.Tensor) => tf.add(tf.mul(old, momentum), tf.mul(now, 1 - momentum));
  return {
    y: beta ? tf.add(scaled, along(beta)) : scaled,
    moving: { moving_mean: average(moving_mean!, mean), moving_variance: average(moving_variance!, variance) },
  };
}

/** Weights that are no defaults. */
function setWeights(layer: layers.Layer): void {
  const C = layer.weights[0]!.shape[0]!;
  const positive = (seed: number) => tf.add(tf.abs(seededTensor([C], seed)), 0.5);
  const values: Weights = {
    ...{ gamma: positive(1), beta: seededTensor([C], 2) },
    ...{ moving_mean: seededTensor([C], 3), moving_variance: positive(4) },
  };
  layer.setWeights(Object.keys(weightsOf(layer)).map((name) => values[name]!));
}

const inputsOf = (shape: readonly number[]) => [seededTensor(shape, 5), seededTensor(shape, 6)] as const;

/** The gradients of Σ y · dy with respect to x, gamma and beta. */
function gradientsOf(y: (x: tf.Tensor) => tf.Tensor, [x, dy]: ReturnType<typeof inputsOf>, parameters: tf.Tensor[]) {
  const loss = (input: tf.Tensor) => tf.sum(tf.mul(y(input), dy)) as tf.Scalar;
  const variables = parameters as tf.Variable[];
  return [
    tf.grad(loss)(x),
    ...(variables.length === 0 ? [] : Object.values(tf.variableGrads(() => loss(x), variables).grads)),
  ];
}

describe.each([createJsBackend(), wasm])('on $name', (backend) => {
  const BatchNorm = registerBatchNorm(backend);
  const built = (layer: layers.Layer, shape: readonly number[]) => {
    layer.build([...shape]);
    setWeights(layer);
    return layer;
  };

  describe.each<readonly [readonly number[], number]>([
    [[16, 5], -1],
    [[16, 5], 1],
    [[5, 16], 0],
    [[6, 7, 5], 2],
    [[6, 5, 7], 1],
    [[4, 5, 6, 3], -1],
    [[4, 3, 5, 6], 1],
    [[3, 4, 5, 2], -2],
    [[2, 3, 4, 3, 4], 4],
    [[2, 3, 4, 3, 4], 1],
    [[2, 2, 3, 2, 2, 3], -1],
  ])('shape %j, axis %i', (shape, axis) => {
    const terms = shape.reduce((a, b) => a * b) / shape.at(axis)!;
    const inputs = inputsOf(shape);

    it.each([true, false])('is the formula, and its gradients, with training %s', (training) => {
      const layer = built(new BatchNorm({ axis, epsilon, momentum }), shape);
      const before = Object.fromEntries(Object.entries(weightsOf(layer)).map(([name, value]) => [name, value.clone()]));
      const expected = formula(inputs[0], before, axis, training);
      expectClose(layer.apply(inputs[0], { training }) as tf.Tensor, expected.y, terms, 'y');
      for (const [name, value] of Object.entries(training ? expected.moving : before)) {
        expectClose(weightsOf(layer)[name]!, value, terms, name);
      }
      if (!training) expect(Object.values(weightsOf(layer)).map(String)).toEqual(Object.values(before).map(String));

      setWeights(layer);
      const weights = weightsOf(layer);
      const parameters = [weights.gamma!, weights.beta!];
      const received = gradientsOf((x) => layer.apply(x, { training }) as tf.Tensor, inputs, parameters);
      setWeights(layer);
      const wanted = gradientsOf((x) => formula(x, weights, axis, training).y, inputs, parameters);
      expect(received).toHaveLength(3);
      ['dx', 'dgamma', 'dbeta'].forEach((name, k) => {
        expectClose(received[k]!, wanted[k]!, terms, name);
      });
    });
  });

  describe.each<readonly number[]>([
    [16, 5],
    [6, 7, 5],
    [4, 5, 6, 3],
  ])('shape %i, %i, …', (...shape) => {
    it.each([true, false])('is what the layer of TensorFlow.js gives, with training %s', (training) => {
      const terms = shape.reduce((a, b) => a * b) / shape.at(-1)!;
      const inputs = inputsOf(shape);
      const run = (layer: layers.Layer) => {
        const { gamma, beta } = weightsOf(layer);
        const y = layer.apply(inputs[0], { training }) as tf.Tensor;
        const gradients = gradientsOf((x) => layer.apply(x, { training }) as tf.Tensor, inputs, [gamma!, beta!]);
        return [y, ...gradients, ...Object.values(weightsOf(layer))];
      };
      const received = run(built(new BatchNorm({ epsilon, momentum }), shape));
      const expected = run(built(layers.batchNormalization({ epsilon, momentum }), shape));
      expect(received).toHaveLength(8);
      expected.forEach((value, k) => {
        expectClose(received[k]!, value, terms, `result ${k}`);
      });
    });
  });

  it.each([
    { scale: false, center: true },
    { scale: true, center: false },
    { scale: false, center: false },
  ])('has no weight and no gradient of what is not there: %o', (args) => {
    const shape = [12, 3];
    const inputs = inputsOf(shape);
    for (const training of [true, false]) {
      const layer = built(new BatchNorm({ epsilon, momentum, ...args }), shape);
      const weights = weightsOf(layer);
      const { moving_mean, moving_variance, ...parameters } = weights;
      const names = [...(args.scale ? ['gamma'] : []), ...(args.center ? ['beta'] : [])];
      expect(Object.keys(parameters)).toEqual(names);
      const wanted = gradientsOf((x) => formula(x, weights, -1, training).y, inputs, Object.values(parameters));
      const received = gradientsOf((x) => layer.apply(x, { training }) as tf.Tensor, inputs, Object.values(parameters));
      expect(received).toHaveLength(1 + names.length);
      wanted.forEach((value, k) => {
        expectClose(received[k]!, value, 12, `gradient ${k}`);
      });
    }
  });

  it('is trained by model.fit as the layer of TensorFlow.js is, step by step', async () => {
    const [features, classes] = [6, 3];
    const inputs = seededTensor([48, features], 7);
    const labels = tf.oneHot(tf.argMax(tf.slice(inputs, [0, 0], [-1, classes]), 1), classes);
    const weights = [seededTensor([features, 8], 8), seededTensor([8, classes], 9)];
    const run = async (layer: layers.Layer) => {
      const dense = (units: number) => layers.dense({ units, useBias: false });
      const model = sequential({
        layers: [layers.inputLayer({ inputShape: [features] }), dense(8), layer, dense(classes)],
      });
      const [first, , last] = model.layers.slice(-3);
      first!.setWeights([weights[0]!]);
      last!.setWeights([weights[1]!]);
      model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
      const losses: number[] = [];
      await model.fit(inputs, labels, {
        ...{ epochs: 5, batchSize: 16, shuffle: false, verbose: 0, yieldEvery: 'never' },
        callbacks: { onBatchEnd: async (_, logs) => void losses.push(logs!.loss!) },
      });
      return { losses, predicted: model.predict(inputs) as tf.Tensor, weights: weightsOf(layer) };
    };
    const received = await run(new BatchNorm({ momentum: 0.9 }));
    const expected = await run(layers.batchNormalization({ momentum: 0.9 }));
    expect(received.losses).toHaveLength(15);
    expect(expected.losses.at(-1)).toBeLessThan(expected.losses[0]! / 2);
    // Fifteen steps, each of whose errors the next ones carry on.
    const terms = 15 * 16;
    expectClose(tf.tensor1d(received.losses), tf.tensor1d(expected.losses), terms, 'losses');
    expectClose(received.predicted, expected.predicted, terms, 'predictions');
    for (const [name, value] of Object.entries(expected.weights))
      expectClose(received.weights[name]!, value, terms, name);
  });
});
