// Batch norms folded into the layers of Keras and TensorFlow.js, beside what TensorFlow.js computes of both.
import { batchOf } from '@batchnorm/testing/batches';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { describe, expect, it } from 'vitest';
import { fold, fromKeras } from '../src/index.js';

type Tensors<T extends tf.Tensor> = (x: T, weight: T) => tf.Tensor;

interface Operation {
  readonly layout: string;
  readonly x: readonly number[];
  readonly weight: readonly number[];
  /** Channels last. */
  readonly apply: Tensors<never>;
}

const config = { axis: -1, momentum: 0.99, epsilon: 1e-3 };

const operations: Readonly<Record<string, Operation>> = {
  dense: { layout: 'IO', x: [3, 4], weight: [4, 6], apply: ((x, w) => tf.matMul(x, w)) as Tensors<tf.Tensor2D> },
  conv1d: {
    ...{ layout: 'LIO', x: [2, 7, 3], weight: [3, 3, 4] },
    apply: ((x, w) => tf.conv1d(x, w, 2, 'same')) as Tensors<tf.Tensor3D>,
  },
  conv2d: {
    ...{ layout: 'HWIO', x: [2, 6, 5, 3], weight: [3, 2, 3, 4] },
    apply: ((x, w) => tf.conv2d(x, w, 1, 'same')) as Tensors<tf.Tensor4D>,
  },
  'conv2d, dilated': {
    ...{ layout: 'HWIO', x: [1, 7, 7, 2], weight: [3, 3, 2, 5] },
    apply: ((x, w) => tf.conv2d(x, w, 1, 'valid', 'NHWC', 2)) as Tensors<tf.Tensor4D>,
  },
  'conv2d in groups': {
    ...{ layout: 'HWIO', x: [2, 5, 5, 4], weight: [3, 3, 2, 6] },
    // TensorFlow.js has none on its CPU backend: each group is a convolution of its own.
    apply: ((x, w) =>
      tf.concat(
        [0, 1].map((g) =>
          tf.conv2d(
            tf.slice(x, [0, 0, 0, 2 * g], [-1, -1, -1, 2]),
            tf.slice(w, [0, 0, 0, 3 * g], [-1, -1, -1, 3]),
            1,
            'same',
          ),
        ),
        3,
      )) as Tensors<tf.Tensor4D>,
  },
  depthwiseConv2d: {
    ...{ layout: 'HWIM', x: [2, 6, 5, 3], weight: [3, 3, 3, 2] },
    apply: ((x, w) => tf.depthwiseConv2d(x, w, 1, 'same')) as Tensors<tf.Tensor4D>,
  },
  conv2dTranspose: {
    ...{ layout: 'HWOI', x: [2, 3, 4, 5], weight: [3, 3, 4, 5] },
    apply: ((x, w) => tf.conv2dTranspose(x, w, [2, 6, 8, 4], 2, 'same')) as Tensors<tf.Tensor4D>,
  },
  conv3d: {
    ...{ layout: 'DHWIO', x: [1, 4, 5, 3, 2], weight: [2, 3, 2, 2, 4] },
    apply: ((x, w) => tf.conv3d(x, w, 1, 'same')) as Tensors<tf.Tensor5D>,
  },
};

const seeded = (shape: readonly number[], seed: number) => batchOf(shape, { seed }).x.data as Float32Array;

describe('a batch norm of Keras folded', () => {
  it.each(Object.entries(operations))('is the layer and the batch norm of TensorFlow.js: %s', (name, operation) => {
    const { layout, x: xShape, weight: shape, apply } = operation;
    const applied = apply as unknown as Tensors<tf.Tensor>;
    const x = tf.tensor(seeded(xShape, 1), [...xShape]);
    const data = seeded(shape, 2);
    const weight = tf.tensor(data, [...shape]);
    const plain = applied(x, weight);
    const C = plain.shape.at(-1)!;
    const bias = seeded([C, 1], 3);
    const weights = {
      gamma: seeded([C, 1], 4),
      beta: seeded([C, 1], 5),
      moving_mean: seeded([C, 1], 6),
      moving_variance: seeded([C, 1], 7).map((value) => Math.abs(value) + 0.1),
    };
    const [gamma, beta, mean, variance] = Object.values(weights).map((values) => tf.tensor1d(values));
    const factor = tf.div(gamma!, tf.sqrt(tf.add(variance!, config.epsilon)));
    const expected = tf.add(tf.mul(tf.sub(tf.add(plain, bias), mean!), factor), beta!);

    const folded = fold(
      { weight: { data, shape }, bias: { data: bias, shape: [C] }, layout, groups: name.includes('groups') ? 2 : 1 },
      fromKeras(weights, config),
    );
    const foldedWeight = tf.tensor(folded.weight.data, [...folded.weight.shape]);
    const received = tf.add(applied(x, foldedWeight), folded.bias.data);

    // What is added up in either: u of it for each rounding, of folded numbers once, of sums as often as they have terms.
    const before = tf.add(tf.add(applied(tf.abs(x), tf.abs(weight)), bias.map(Math.abs)), tf.abs(mean!));
    const size = tf.add(tf.mul(before, tf.abs(factor)), tf.abs(beta!)).dataSync();
    const terms = shape.reduce((a, b) => a * b) / C;
    const wanted = expected.dataSync();
    expect(received.shape).toEqual(expected.shape);
    received.dataSync().forEach((value, k) => {
      expect(Math.abs(value - wanted[k]!), `${k}`).toBeLessThanOrEqual(2 * (terms + 4) * 2 ** -24 * size[k]!);
    });
  });
});
