// The operation to time, on the asked shape: from host arrays to host arrays, as a caller sees it.
import type { Backend } from '../backend.js';
import { BatchNorm } from '../batch-norm.js';
import type { Tensor } from '../tensor.js';
import type { Batch, Results } from './batch.js';
import type { Question } from './question.js';
import type { Operation } from './selection.js';

/** One backend doing the operation. */
export class Workload {
  readonly #batch: Batch;
  readonly #layer: BatchNorm;
  readonly #before: () => Promise<void>;
  readonly #operation: () => Promise<Results>;
  /** The x of the forward that a backward differentiates. */
  #latestX: Tensor | undefined;
  #results: Results = {};

  constructor(backend: Backend, batch: Batch, { shape, axis, dtype, operation }: Question) {
    // With momentum 0 the running statistics of a training forward are those of its batch.
    const layer = new BatchNorm({ backend, numFeatures: shape.at(axis)!, axis, dtype, momentum: 0 });
    const { gamma, beta, runningMean, runningVariance } = batch.contents;
    Object.assign(layer, { gamma, beta, runningMean, runningVariance });
    const forward = async (training: boolean) => {
      const { x, y } = batch.contents;
      this.#latestX = x;
      const results = { y: await layer.forward(x, { training, out: y }) };
      return training
        ? { ...results, statistics: { mean: layer.runningMean, variance: layer.runningVariance } }
        : results;
    };
    const backward = async () => {
      const { dy, dx } = batch.contents;
      return { gradients: await layer.backward(dy, { out: { dx } }) };
    };
    const operations: Record<Operation, () => Promise<Results>> = {
      'forward-training': () => forward(true),
      'forward-inference': () => forward(false),
      backward,
      'training-step': async () => ({ ...(await forward(true)), ...(await backward()) }),
    };
    this.#batch = batch;
    this.#layer = layer;
    this.#operation = operations[operation];
    this.#before = async () => {
      if (operation === 'backward' && this.#latestX !== batch.contents.x) await forward(true);
    };
  }

  /** Before calls that count: the forward that a backward differentiates, and no results of earlier calls. */
  async prepare(): Promise<void> {
    await this.#before();
    this.#batch.spoil();
    this.#results = {};
  }

  /** Does the operation once. Errors: those of the layer. */
  readonly run = async (): Promise<void> => {
    this.#results = await this.#operation();
  };

  /** That the latest results are right. Errors: one that names what is wrong. */
  assertRight(): void {
    this.#batch.assertRight(this.#results);
  }

  dispose(): Promise<void> {
    return this.#layer.dispose();
  }
}
