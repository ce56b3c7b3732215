// The network, twice convolution, batch norm and ReLU, then a dense layer; and its training.
import { type Scalar, tidy, train } from '@tensorflow/tfjs-core';
import { initializers, type LayersModel, layers, sequential } from '@tensorflow/tfjs-layers';
import type { Digits } from './digits.js';

/** Makes a batch norm over the last axis. */
export type NewBatchNorm = () => layers.Layer;

/** The same initial weights at each call. */
export function network(newBatchNorm: NewBatchNorm): LayersModel {
  let seed = 0;
  const kernelInitializer = () => initializers.heNormal({ seed: ++seed });
  const convolution = (filters: number) =>
    layers.conv2d({
      ...{ filters, kernelSize: 3, strides: 2, padding: 'same', useBias: false },
      kernelInitializer: kernelInitializer(),
    });
  const model = sequential({
    layers: [
      layers.inputLayer({ inputShape: [8, 8, 1] }),
      ...[convolution(8), newBatchNorm(), layers.reLU()],
      ...[convolution(16), newBatchNorm(), layers.reLU()],
      layers.flatten(),
      layers.dense({ units: 10, activation: 'softmax', kernelInitializer: kernelInitializer() }),
    ],
  });
  model.compile({ optimizer: train.sgd(0.1), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

export interface Curve {
  /** Of each step's minibatch. */
  readonly losses: readonly number[];
  /** On the test set, after each epoch. */
  readonly accuracies: readonly number[];
}

/** Minibatches of 32 in the order of the data, which `digits` has shuffled. */
export async function fit(model: LayersModel, training: Digits, test: Digits, epochs: number): Promise<Curve> {
  const losses: number[] = [];
  const accuracies: number[] = [];
  await model.fit(training.images, training.labels, {
    ...{ epochs, batchSize: 32, shuffle: false, verbose: 0, yieldEvery: 'never' },
    callbacks: {
      onBatchEnd: async (_, logs) => void losses.push(logs!.loss!),
      onEpochEnd: async () => void accuracies.push(accuracy(model, test)),
    },
  });
  return { losses, accuracies };
}

function accuracy(model: LayersModel, { images, labels }: Digits): number {
  return tidy(() => (model.evaluate(images, labels, { batchSize: 360 }) as Scalar[])[1]!.dataSync()[0]!);
}
