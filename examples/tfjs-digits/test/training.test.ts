// Training with our batch norms is training with those of TensorFlow.js, and a trained model can be saved.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { registerBatchNorm } from '@batchnorm/tfjs';
import { io, type Tensor } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { layers, loadLayersModel } from '@tensorflow/tfjs-layers';
import { afterAll, expect, it } from 'vitest';
import { digits } from '../src/digits.js';
import { fit, type NewBatchNorm, network } from '../src/network.js';

const backend = await createWasmBackend({ threads: 1 });
afterAll(() => backend.dispose());
const BatchNorm = registerBatchNorm(backend);
const { training, test } = digits();

async function trained(newBatchNorm: NewBatchNorm) {
  const model = network(newBatchNorm);
  return { model, ...(await fit(model, training, test, 1)) };
}

const largestDifference = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((value, k) => Math.abs(value - b[k]!)));

it('has the losses that the layer of TensorFlow.js has, step by step, and ends as accurate', async () => {
  const theirs = await trained(() => layers.batchNormalization({ momentum: 0.9 }));
  const ours = await trained(() => new BatchNorm({ momentum: 0.9 }));
  expect(ours.model.layers.filter((layer) => layer instanceof BatchNorm)).toHaveLength(2);
  expect(ours.losses).toHaveLength(45);
  expect(ours.losses.at(-1)).toBeLessThan(ours.losses[0]! / 3);
  // A float32 loss of up to 4 has an ulp of 2.4e-7; 45 steps carry on what each rounds.
  const bound = 45 * 2.4e-7;
  expect(largestDifference(ours.losses, theirs.losses)).toBeLessThanOrEqual(bound);
  expect(ours.accuracies).toEqual(theirs.accuracies);
  expect(ours.accuracies[0]).toBeGreaterThan(0.8);

  const other = await trained(() => new BatchNorm({ momentum: 0.9, epsilon: 2e-3 }));
  expect(largestDifference(other.losses, theirs.losses)).toBeGreaterThan(10 * bound);

  let saved: io.ModelArtifacts | undefined;
  await ours.model.save(
    io.withSaveHandler(async (artifacts) => {
      saved = artifacts;
      return { modelArtifactsInfo: io.getModelArtifactsInfoForJSON(artifacts) };
    }),
  );
  const loaded = await loadLayersModel(io.fromMemory(saved!));
  const [before, after] = [ours.model, loaded].map((model) => (model.predict(test.images) as Tensor).dataSync());
  expect(after).toEqual(before);
});
