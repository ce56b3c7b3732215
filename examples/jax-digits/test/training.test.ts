// Training with our batch norm between two differentiated functions is training with batch norm in jax-js's operations.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { largestError } from '@batchnorm/testing/batches';
import { afterAll, expect, it } from 'vitest';
import { initialWeights, train } from '../src/training.js';
import { withJax } from '../src/with-jax.js';
import { withOurs } from '../src/with-ours.js';

const backend = await createWasmBackend({ threads: 1 });
afterAll(() => backend.dispose());

it('has the same losses, step by step, and ends with the same logits by running statistics', async () => {
  const steps = 40;
  const theirs = await train(withJax(await initialWeights(), 0.5), steps);
  const ours = await train(withOurs(backend, await initialWeights(), 0.5), steps);
  expect(ours.losses).toHaveLength(steps);
  expect(ours.losses.at(-1)).toBeLessThan(ours.losses[0]! / 5);
  // Sums of float32 over a minibatch of 60 and over 64 inputs, and what the steps before have rounded.
  const bound = steps * 64 * 2 ** -24;
  expect(largestError(ours.losses, theirs.losses)).toBeLessThanOrEqual(bound);
  // Running statistics of 40 batches, which are not those of the last one alone.
  expect(largestError(ours.logits, theirs.logits)).toBeLessThanOrEqual(10 * bound);
  expect(ours.accuracy).toBe(theirs.accuracy);
  expect(ours.accuracy).toBeGreaterThan(0.9);

  const other = await train(withOurs(backend, await initialWeights(), 0.51), steps);
  expect(largestError(other.losses, theirs.losses)).toBeGreaterThan(10 * bound);
});
