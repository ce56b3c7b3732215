// The worker: trains a network with a hidden layer, linear → BatchNorm and ReLU → linear, and posts how far it is.
import { createBatchNorm } from 'batchnorm';
import { examples, multiply, multiplyTransposed, randomNumbers } from './data.ts';

/** What the worker posts. */
export interface Progress {
  readonly backend: string;
  readonly step: number;
  readonly steps: number;
  /** The fraction of the batch that the network classified right. */
  readonly accuracy: number;
}

const [batch, inputs, hidden, steps, rate] = [256, 2, 16, 3000, 0.2];

const random = randomNumbers(1);
const first = Float32Array.from({ length: inputs * hidden }, () => random() - 0.5);
const second = Float32Array.from({ length: hidden }, () => random() - 0.5);
let offset = 0;

const layer = await createBatchNorm({ numFeatures: hidden, shape: [batch, hidden], activation: 'relu' });
const backend = layer.report.chosen;

for (let step = 1; step <= steps; step += 1) {
  const { points, isInside } = examples(batch, random);

  // Forward: the probability that a point is inside.
  const h = { data: multiply(points, first, batch, inputs, hidden), shape: [batch, hidden] };
  const y = await layer.forward(h);
  const logits = multiply(y.data, second, batch, hidden, 1).map((logit) => logit + offset);
  const errors = logits.map((logit, index) => (1 / (1 + Math.exp(-logit)) - isInside[index]!) / batch);
  const right = logits.filter((logit, index) => logit > 0 === (isInside[index] === 1)).length;

  // Backward: errors is the gradient of the mean cross-entropy with respect to the logits.
  const dy = { data: multiply(errors, second, batch, 1, hidden), shape: [batch, hidden] };
  const { dx, dgamma, dbeta } = await layer.backward(dy);
  const dSecond = multiplyTransposed(y.data, errors, batch, hidden, 1);
  const dFirst = multiplyTransposed(points, dx.data, batch, inputs, hidden);

  descend(first, dFirst);
  descend(second, dSecond);
  descend(layer.gamma, dgamma);
  descend(layer.beta, dbeta);
  offset -= rate * errors.reduce((sum, error) => sum + error, 0);

  if (step % 50 === 0) postMessage({ backend, step, steps, accuracy: right / batch } satisfies Progress);
}

await layer.dispose();

/** One step of gradient descent, in place. */
function descend(values: Float32Array | Float64Array, gradient: Float32Array | Float64Array): void {
  for (let index = 0; index < values.length; index += 1) values[index]! -= rate * gradient[index]!;
}
