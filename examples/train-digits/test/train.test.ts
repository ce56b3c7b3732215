// Training: the same seed gives the same run, and BatchNorm learns where the plain network does not yet.
import { createJsBackend } from '@batchnorm/backend-js';
import type { Backend } from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { loadDigits, split } from '../src/digits.js';
import { Network } from '../src/network.js';
import { finalAccuracy, type History, stepsTo, train } from '../src/train.js';

const backend = await createJsBackend();
const data = split(loadDigits(), 100, 1);

it('gives the same losses and accuracies for the same seed, and others for another', async () => {
  const history = await run(1, backend);
  expect(history.losses).toHaveLength(40);
  expect(history.accuracies.map(({ step }) => step)).toEqual([0, 20, 40]);
  expect(await run(1, backend)).toEqual(history);
  expect((await run(2, backend)).losses).not.toEqual(history.losses);
});

it('learns faster with BatchNorm', async () => {
  expect(finalAccuracy(await run(1, backend))).toBeGreaterThan(finalAccuracy(await run(1)));
});

it('counts the steps to an accuracy', () => {
  const history = { losses: [], accuracies: [0.1, 0.6, 0.5].map((accuracy, i) => ({ step: 10 * i, accuracy })) };
  expect(stepsTo(0.6, history)).toBe(10);
  expect(stepsTo(0.7, history)).toBe(Infinity);
  expect(finalAccuracy(history)).toBe(0.5);
});

function run(seed: number, backend?: Backend): Promise<History> {
  const network = new Network({ sizes: [64, 20, 20, 10], deviation: 0.1, seed, backend });
  return train(network, data, { learningRate: 1, steps: 40, minibatch: 60, evaluateEvery: 20, seed });
}
