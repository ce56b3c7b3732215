// Seeded tensors, and what tests ask of results of TensorFlow.js.
import { batchOf, largestError } from '@batchnorm/testing/batches';
import { type Tensor, tensor } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import type { layers } from '@tensorflow/tfjs-layers';
import { expect } from 'vitest';

/** Uniform, of mean 0 and deviation 1. */
export function seededTensor(shape: readonly number[], seed: number): Tensor {
  return tensor(batchOf(shape, { seed }).x.data as Float32Array, [...shape]);
}

/**
 * That two float32 results of sums over `terms` values agree: sums in float32, in any order, are within terms · u of the
 * sum of absolute values, and a few such errors meet in one result.
 */
export function expectClose(received: Tensor, expected: Tensor, terms: number, what: string): void {
  expect(received.shape, what).toEqual(expected.shape);
  const [values, wanted] = [received.dataSync<'float32'>(), expected.dataSync<'float32'>()];
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  expect(largestError(values, wanted), what).toBeLessThanOrEqual(4 * terms * 2 ** -24 * largest);
}

/** A layer's weights by their Keras names. */
export function weightsOf(layer: layers.Layer): Record<string, Tensor> {
  return Object.fromEntries(layer.weights.map((weight) => [weight.originalName.split('/').at(-1)!, weight.read()]));
}
