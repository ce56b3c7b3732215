// Training: minibatch stochastic gradient descent, with a look at the test set every so often.
import { type Digits, minibatches } from './digits.js';
import type { Network } from './network.js';

export interface TrainingOptions {
  readonly learningRate: number;
  readonly steps: number;
  readonly minibatch: number;
  /** Test accuracy is taken before the first step and after each that is a multiple of this. */
  readonly evaluateEvery: number;
  /** Of the order of minibatches. */
  readonly seed: number;
  readonly onStep?: (step: number) => void;
}

export interface History {
  /** The loss of each step's minibatch. */
  readonly losses: readonly number[];
  /** On the test set. */
  readonly accuracies: readonly { readonly step: number; readonly accuracy: number }[];
}

export async function train(
  network: Network,
  { training, test }: { training: Digits; test: Digits },
  { learningRate, steps, minibatch, evaluateEvery, seed, onStep }: TrainingOptions,
): Promise<History> {
  const batches = minibatches(training, minibatch, seed);
  const losses = [];
  const accuracies = [{ step: 0, accuracy: await network.accuracy(test.images, test.labels) }];
  for (let step = 1; step <= steps; step++) {
    const { images, labels } = batches.next().value;
    losses.push(await network.differentiate(images, labels));
    network.descend(learningRate);
    if (step % evaluateEvery === 0) {
      accuracies.push({ step, accuracy: await network.accuracy(test.images, test.labels) });
    }
    onStep?.(step);
  }
  return { losses, accuracies };
}

/** The first step after which the test set was seen at this accuracy; Infinity if there was none. */
export function stepsTo(accuracy: number, { accuracies }: History): number {
  return accuracies.find((point) => point.accuracy >= accuracy)?.step ?? Infinity;
}

export function finalAccuracy({ accuracies }: History): number {
  return accuracies.at(-1)?.accuracy ?? Number.NaN;
}
