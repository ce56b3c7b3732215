// The training of both networks: the same initial weights, the same minibatches.
import { type Digits, loadDigits, minibatches, split } from '@batchnorm/example-train-digits/digits';
import { init, numpy as np, random } from '@jax-js/jax';
import { classes, features, hiddenUnits } from './network.js';

/** A network in training. It consumes the arrays that it is given. */
export interface Training {
  /** One step of gradient descent on x, [N, 64], and labels, [N, 10]. Returns the loss before it. */
  step(x: np.Array, labels: np.Array): Promise<number>;
  /** [N, 10], with running statistics. */
  logits(x: np.Array): Promise<{ readonly data: Float32Array; readonly shape: readonly number[] }>;
  dispose(): Promise<void>;
}

export interface Curve {
  readonly losses: readonly number[];
  /** The test digits' logits at the end, and the part of them that is right. */
  readonly logits: Float32Array;
  readonly accuracy: number;
}

const seed = 2015;
const minibatch = 60;

/** Of the two linear layers; the same at each call. */
export async function initialWeights(): Promise<readonly [np.Array, np.Array]> {
  await init('wasm');
  const normal = (key: number, inputs: number, outputs: number) =>
    random.normal(random.key(key), [inputs, outputs]).mul(Math.sqrt(2 / inputs));
  return [normal(1, features, hiddenUnits), normal(2, hiddenUnits, classes)];
}

export async function train(training: Training, steps: number): Promise<Curve> {
  const data = split(loadDigits(), 360, seed);
  const batches = minibatches(data.training, minibatch, seed);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { images, labels } = batches.next().value;
    losses.push(await training.step(arrayOf(images), oneHot(labels)));
  }
  const { data: logits } = await training.logits(arrayOf(data.test.images));
  await training.dispose();
  return { losses, logits, accuracy: accuracyOf(logits, data.test.labels) };
}

function arrayOf({ data, shape }: Digits['images']): np.Array {
  return np.array(Float32Array.from(data)).reshape([...shape]);
}

function oneHot(labels: Uint8Array): np.Array {
  const rows = new Float32Array(labels.length * classes);
  labels.forEach((label, n) => {
    rows[n * classes + label] = 1;
  });
  return np.array(rows).reshape([labels.length, classes]);
}

function accuracyOf(logits: Float32Array, labels: Uint8Array): number {
  const right = labels.filter((label, n) => {
    const own = logits.subarray(n * classes, (n + 1) * classes);
    return own.indexOf(Math.max(...own)) === label;
  });
  return right.length / labels.length;
}
