// What is timed: the asked operation of a layer on the workload, from host arrays to host arrays, as users have it.
import { type Backend, BatchNorm, type Tensor } from '@batchnorm/core-api';
import type { Results } from './equations.js';
import type { Question } from './question.js';
import type { Operation } from './selection.js';
import type { Workload } from './workload.js';

/** The operation on one backend. */
export class TimedOperation {
  readonly #workload: Workload;
  readonly #layer: BatchNorm;
  readonly #before: () => Promise<void>;
  readonly #operation: () => Promise<Results>;
  /** The x of the latest forward, which a backward differentiates. */
  #latestX: Tensor | undefined;
  #results: Results = {};

  constructor(backend: Backend, workload: Workload, { shape, axis, dtype, operation }: Question) {
    // With momentum 0 the running statistics of a training forward are those of its batch.
    const layer = new BatchNorm({ backend, numFeatures: shape.at(axis)!, axis, dtype, momentum: 0 });
    const { gamma, beta, runningMean, runningVariance } = workload.contents;
    Object.assign(layer, { gamma, beta, runningMean, runningVariance });
    const forward = async (training: boolean) => {
      const { x, y } = workload.contents;
      this.#latestX = x;
      const results = { y: await layer.forward(x, { training, out: y }) };
      return training
        ? { ...results, statistics: { mean: layer.runningMean, variance: layer.runningVariance } }
        : results;
    };
    const backward = async () => {
      const { dy, dx } = workload.contents;
      return { gradients: await layer.backward(dy, { out: { dx } }) };
    };
    const operations: Record<Operation, () => Promise<Results>> = {
      'forward-training': () => forward(true),
      'forward-inference': () => forward(false),
      backward,
      'training-step': async () => ({ ...(await forward(true)), ...(await backward()) }),
    };
    this.#workload = workload;
    this.#layer = layer;
    this.#operation = operations[operation];
    this.#before = async () => {
      if (operation === 'backward' && this.#latestX !== workload.contents.x) await forward(true);
    };
  }

  /** Before calls that are timed or checked: does the forward that a backward needs, and clears earlier results. */
  async prepare(): Promise<void> {
    await this.#before();
    this.#workload.spoil();
    this.#results = {};
  }

  /** Does the operation once. Errors: those of the layer. */
  readonly run = async (): Promise<void> => {
    this.#results = await this.#operation();
  };

  /** Errors: an `Error` that names what is wrong with the latest results. */
  assertRight(): void {
    this.#workload.assertRight(this.#results);
  }

  dispose(): Promise<void> {
    return this.#layer.dispose();
  }
}
