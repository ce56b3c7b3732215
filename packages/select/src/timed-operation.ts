// What is timed: the asked operation of a layer on the workload, from arrays to arrays, as users have it.
import { AllocatedTensor, type Backend, BatchNorm, type Tensor } from '@batchnorm/core-api';
import type { Results } from './equations.js';
import type { Question } from './question.js';
import type { Operation } from './selection.js';
import type { Tensors, Workload } from './workload.js';

/** The operation on one backend. */
export class TimedOperation {
  readonly #workload: Workload;
  readonly #layer: BatchNorm;
  readonly #letGo: (results: Results) => void;
  readonly #before: () => Promise<void>;
  readonly #operation: () => Promise<Results>;
  /** Those that the backend allocated. */
  readonly #allocated: Tensors | undefined;
  /** The x of the latest forward, which a backward differentiates. */
  #latestX: Tensor | undefined;
  #results: Results = {};

  constructor(backend: Backend, workload: Workload, { shape, axis, dtype, operation, memory, out }: Question) {
    // With momentum 0 the running statistics of a training forward are those of its batch.
    const layer = new BatchNorm({ backend, numFeatures: shape.at(axis)!, axis, dtype, momentum: 0 });
    const { gamma, beta, runningMean, runningVariance } = workload.contents;
    Object.assign(layer, { gamma, beta, runningMean, runningVariance });
    if (memory === 'allocated') {
      const { x, dy } = workload.contents;
      this.#allocated = { x: layer.from(x), dy: layer.from(dy), y: layer.empty(shape), dx: layer.empty(shape) };
    }
    const forward = async (training: boolean) => {
      const { x, y } = this.tensors;
      this.#latestX = x;
      const results = { y: await layer.forward(x, { training, ...(out && { out: y }) }) };
      return training
        ? { ...results, statistics: { mean: layer.runningMean, variance: layer.runningVariance } }
        : results;
    };
    const backward = async () => {
      const { dy, dx } = this.tensors;
      return { gradients: await layer.backward(dy, out ? { out: { dx } } : {}) };
    };
    const operations: Record<Operation, () => Promise<Results>> = {
      'forward-training': () => forward(true),
      'forward-inference': () => forward(false),
      backward,
      'training-step': async () => ({ ...(await forward(true)), ...(await backward()) }),
    };
    // What is written again is not new.
    this.#letGo = out ? () => undefined : letGo;
    this.#workload = workload;
    this.#layer = layer;
    this.#operation = operations[operation];
    this.#before = async () => {
      if (operation === 'backward' && this.#latestX !== this.tensors.x) this.#letGo(await forward(true));
    };
  }

  /** Before calls that are timed or checked: does the forward that a backward needs, and clears earlier results. */
  async prepare(): Promise<void> {
    await this.#before();
    this.#workload.spoil(this.tensors);
    this.#clear();
  }

  /** What the operation reads and writes. */
  get tensors(): Tensors {
    return this.#allocated ?? this.#workload.contents;
  }

  /** Does the operation once. Errors: those of the layer. */
  readonly run = async (): Promise<void> => {
    this.#clear();
    this.#results = await this.#operation();
  };

  #clear(): void {
    this.#letGo(this.#results);
    this.#results = {};
  }

  /** Errors: an `Error` that names what is wrong with the latest results. */
  assertRight(): void {
    this.#workload.assertRight(this.#results);
  }

  dispose(): Promise<void> {
    if (this.#allocated) for (const tensor of Object.values(this.#allocated)) dispose(tensor);
    return this.#layer.dispose();
  }
}

/** Disposes results that are new. */
function letGo({ y, gradients }: Results): void {
  for (const result of [y, gradients?.dx]) if (result) dispose(result);
}

function dispose(tensor: Tensor): void {
  if (tensor instanceof AllocatedTensor) tensor.dispose();
}
