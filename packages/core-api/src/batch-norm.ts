// The layer: what users call. It validates, keeps parameters and running statistics, and leaves arithmetic to a backend.
import type { ForwardInput, ForwardOutput, Kernels, Memory, Operations, Saved } from './backend.js';
import { CallQueue } from './call-queue.js';
import { BatchNormError } from './errors.js';
import { valuesPerChannel } from './extent.js';
import { KernelCache } from './kernel-cache.js';
import type { BatchNormOptions, ResolvedOptions } from './options.js';
import { RunningStatistics } from './running-statistics.js';
import { type BatchNormState, readState, type StateVectors, writeState } from './state.js';
import type { DeviceTensor, FloatArray, OnDevice, Tensor } from './tensor.js';
import {
  assertBoolean,
  assertEnoughValues,
  assertLike,
  assertOptionNames,
  assertSeparate,
  assertVector,
  isDeviceTensor,
  resolveOptions,
  sameMemory,
  validateInput,
} from './validate.js';

export interface ForwardOptions<T extends Tensor | DeviceTensor = Tensor> {
  /** Batch statistics and an update of the running ones (true), or running statistics (false). Default true. */
  readonly training?: boolean;
  /**
   * Receives y, and is returned: a tensor of x's shape. In inference it may be x itself; then nothing is left for a
   * backward, which answers `FORWARD_REQUIRED`.
   */
  readonly out?: T;
}

/** Gradients with respect to the input and the parameters. */
export interface Gradients<T extends Tensor | DeviceTensor = Tensor> {
  /** Of x's shape. */
  readonly dx: T;
  /** [C]; empty without affine parameters. */
  readonly dgamma: GradientVector<T>;
  /** [C]; empty without affine parameters. */
  readonly dbeta: GradientVector<T>;
}

/** On the host with host tensors; with device tensors on the device, until somebody reads it. */
export type GradientVector<T> = T extends DeviceTensor ? OnDevice<Float64Array> : Float64Array;

export interface BackwardOptions<T extends Tensor | DeviceTensor = Tensor> {
  /** Buffers that receive the gradients, such as those of the step before. `dx` may be dy itself. */
  readonly out?: Partial<Gradients<T>>;
}

type Activation = Tensor | DeviceTensor;

/** The forward that the next backward differentiates. */
interface ForwardRecord {
  readonly x: Activation;
  readonly kernels: Kernels;
  readonly saved: Saved;
  readonly usesBatchStatistics: boolean;
}

/** So many batches may wait on the device for their turn in the running statistics. */
const maxDeferredBatches = 64;

/**
 * Batch normalisation (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167):
 * y = gamma · (x − mean) / √(variance + epsilon) + beta, per channel.
 *
 * Calls take effect in call order, awaited or not. A call that fails changes nothing: not the running statistics, not
 * the forward that backward belongs to, not the caller's buffers. Errors are `BatchNormError`s.
 */
export class BatchNorm {
  readonly options: ResolvedOptions;
  /** [C], ones at first; empty without affine parameters. Await the calls before you change it. */
  readonly gamma: Float64Array;
  /** [C], zeros at first; empty without affine parameters. Await the calls before you change it. */
  readonly beta: Float64Array;

  readonly #queue = new CallQueue();
  readonly #kernels: KernelCache;
  readonly #running: RunningStatistics;
  /** gamma and beta as kernels get them: [C], also without affine parameters. */
  readonly #parameters: { readonly gamma: Float64Array; readonly beta: Float64Array };
  /** Where kernels put the gradients of parameters that nobody has. */
  readonly #unwanted: { readonly dgamma: Float64Array; readonly dbeta: Float64Array } | undefined;
  #record: ForwardRecord | undefined;
  #disposed = false;

  /** Errors: `INVALID_OPTION`, `DTYPE_MISMATCH`. */
  constructor(options: BatchNormOptions) {
    this.options = resolveOptions(options);
    const { backend, numFeatures: C, dtype, affine, trackRunningStatistics } = this.options;
    this.#kernels = new KernelCache((extent) => backend.prepare({ extent, dtype }));
    this.#running = new RunningStatistics(trackRunningStatistics ? C : 0, this.options);
    this.#parameters = { gamma: new Float64Array(C).fill(1), beta: new Float64Array(C) };
    this.#unwanted = affine ? undefined : { dgamma: new Float64Array(C), dbeta: new Float64Array(C) };
    this.gamma = affine ? this.#parameters.gamma : new Float64Array(0);
    this.beta = affine ? this.#parameters.beta : new Float64Array(0);
  }

  /** [C], zeros at first; empty without running statistics. */
  get runningMean(): Float64Array {
    return this.#running.mean;
  }

  /** [C], ones at first; empty without running statistics. */
  get runningVariance(): Float64Array {
    return this.#running.variance;
  }

  /** How many batches the running statistics have seen. */
  get batchesTracked(): number {
    return this.#running.batchesTracked;
  }

  /**
   * Normalises x: [N, C], [N, C, L], [N, C, H, W], …, with C = `numFeatures` channels on `axis`. Host in, host out; device
   * in, device out. x is kept by reference until the next forward: leave it as it is until its backward is done.
   *
   * Errors: `INVALID_OPTION`, `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `EMPTY_BATCH`, `LIMIT_EXCEEDED`,
   * `SINGLE_VALUE`, `NON_FINITE_STATISTICS` (training with running statistics), `FOREIGN_TENSOR`, `DISPOSED`.
   */
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Promise<Tensor>;
  forward(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): Promise<DeviceTensor>;
  async forward(x: Activation, options: ForwardOptions<Activation> = {}): Promise<Activation> {
    assertOptionNames(options, ['training', 'out']);
    const { training = true, out } = options;
    assertBoolean('training', training);
    return this.#call(() => this.#forward(x, training, out));
  }

  /**
   * The gradients of the latest forward: through the batch statistics after a training forward, with constant statistics
   * after an inference forward. dy has the shape of that forward's x, and lies where x lies.
   *
   * Errors: `FORWARD_REQUIRED`, `INVALID_OPTION`, `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `FOREIGN_TENSOR`,
   * `DISPOSED`.
   */
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Promise<Gradients<Tensor>>;
  backward(dy: DeviceTensor, options?: BackwardOptions<DeviceTensor>): Promise<Gradients<DeviceTensor>>;
  async backward(dy: Activation, options: BackwardOptions<never> = {}): Promise<Gradients<never>> {
    assertOptionNames(options, ['out']);
    const { out = {} } = options;
    assertOptionNames(out, ['dx', 'dgamma', 'dbeta']);
    return this.#call(() => this.#backward(dy, { ...out }));
  }

  /**
   * Folds the batches that wait on the device into the running statistics, in order. Only training on device tensors
   * leaves any; inference, `state()` and `dispose()` settle by themselves.
   *
   * Errors: `NON_FINITE_STATISTICS` when one was not finite: it is left out, and the others are in. `DISPOSED`.
   */
  settle(): Promise<void> {
    return this.#call(() => this.#running.settle());
  }

  /** Parameters and running statistics as plain JSON. Errors: `INVALID_STATE` if a parameter is not finite, `DISPOSED`. */
  state(): Promise<BatchNormState> {
    return this.#call(async () => {
      await this.#running.settle();
      return writeState(this.options.numFeatures, this.#stateVectors(), this.batchesTracked);
    });
  }

  /** Takes over a state that `state()` wrote. Errors: `INVALID_STATE`, and nothing has changed; `DISPOSED`. */
  loadState(state: BatchNormState): Promise<void> {
    return this.#call(async () => {
      this.#running.batchesTracked = readState(state, this.options.numFeatures, this.#stateVectors());
      this.#running.discardDeferred();
    });
  }

  /** Settles, and frees what the layer holds on its backend. Again is allowed and does nothing. */
  dispose(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#disposed) return;
      this.#disposed = true;
      try {
        await this.#running.settle();
      } finally {
        this.#setRecord(undefined);
        this.#kernels.dispose();
      }
    });
  }

  #call<T>(call: () => Promise<T>): Promise<T> {
    return this.#queue.run(() => {
      if (this.#disposed) throw new BatchNormError('DISPOSED', 'received a call after dispose(), expected none');
      return call();
    });
  }

  async #forward(x: Activation, training: boolean, out: Activation | undefined): Promise<Activation> {
    const extent = validateInput(x, this.options);
    const { epsilon, trackRunningStatistics } = this.options;
    const usesBatchStatistics = training || !trackRunningStatistics;
    if (usesBatchStatistics) assertEnoughValues(extent, this.options);
    if (out !== undefined) assertLike(out, 'out', x, this.options);
    const inPlace = !training && out !== undefined && sameMemory(out, x);
    if (!inPlace) assertSeparate({ out }, { x });

    const kernels = await this.#kernels.get(extent, this.#record?.kernels);
    const input = { x: elementsOf(x), y: out && elementsOf(out), ...this.#parameters, epsilon };
    const { y, saved } = usesBatchStatistics
      ? await this.#normalizeBatch(operationsOn(x, kernels), input, {
          track: training && trackRunningStatistics,
          valuesPerChannel: valuesPerChannel(extent),
        })
      : await this.#normalizeByRunning(operationsOn(x, kernels), input);

    this.#setRecord({ x: snapshotOf(x), kernels, saved, usesBatchStatistics });
    if (inPlace) this.#setRecord(undefined);
    return out ?? activationOf(y, x.shape);
  }

  async #normalizeBatch(
    operations: Operations<Memory>,
    input: ForwardInput<Memory>,
    { track, valuesPerChannel }: { track: boolean; valuesPerChannel: number },
  ): Promise<ForwardOutput<Memory>> {
    await this.#settleBefore(input.x);
    const { y, saved, statistics } = await operations.forwardTraining({ ...input, requireFinite: track });
    try {
      if (track) this.#running.track(statistics, valuesPerChannel);
      else if ('read' in statistics) statistics.dispose();
    } catch (error) {
      saved.dispose();
      throw error;
    }
    return { y, saved };
  }

  /** Batches are averaged in in call order: those that wait on the device before one on the host. */
  async #settleBefore(x: Memory['activation']): Promise<void> {
    const most = ArrayBuffer.isView(x) ? 1 : maxDeferredBatches;
    if (this.#running.deferred >= most) await this.#running.settle();
  }

  async #normalizeByRunning(
    operations: Operations<Memory>,
    input: ForwardInput<Memory>,
  ): Promise<ForwardOutput<Memory>> {
    await this.#running.settle();
    const { mean, variance } = this.#running;
    return operations.forwardInference({ ...input, mean, variance });
  }

  async #backward(dy: Activation, out: Partial<Gradients>): Promise<Gradients<never>> {
    const { x, kernels, saved, usesBatchStatistics } = this.#latestForward();
    assertLike(dy, 'dy', x, this.options);
    if (out.dx !== undefined) assertLike(out.dx, 'out.dx', x, this.options);
    if (out.dgamma !== undefined) assertVector(out.dgamma, 'out.dgamma', this.gamma.length, x);
    if (out.dbeta !== undefined) assertVector(out.dbeta, 'out.dbeta', this.beta.length, x);
    const inPlace = out.dx !== undefined && sameMemory(out.dx, dy);
    assertSeparate(out, inPlace ? { x } : { x, dy });

    const operations = operationsOn(x, kernels);
    const input = {
      saved,
      dy: elementsOf(dy),
      dx: out.dx && elementsOf(out.dx),
      dgamma: out.dgamma,
      dbeta: out.dbeta,
      ...(isDeviceTensor(x) ? undefined : this.#unwanted),
    };
    const { dx, dgamma, dbeta } = usesBatchStatistics
      ? await operations.backwardTraining(input)
      : await operations.backwardInference(input);
    return {
      dx: out.dx ?? activationOf(dx, dy.shape),
      dgamma: this.options.affine ? dgamma : emptyLike(dgamma, out.dgamma),
      dbeta: this.options.affine ? dbeta : emptyLike(dbeta, out.dbeta),
    } as Gradients<never>;
  }

  #latestForward(): ForwardRecord {
    const record = this.#record;
    if (record === undefined) {
      throw new BatchNormError('FORWARD_REQUIRED', 'received backward(), expected a forward() before it, not in place');
    }
    const { x } = record;
    if (isDeviceTensor(x) ? x.disposed : x.data.length === 0) {
      throw new BatchNormError(
        'FORWARD_REQUIRED',
        'received backward() when the x of its forward() was disposed or transferred, expected x as it was',
      );
    }
    return record;
  }

  #setRecord(record: ForwardRecord | undefined): void {
    this.#record?.saved.dispose();
    this.#record = record;
  }

  #stateVectors(): StateVectors {
    const { gamma, beta, runningMean, runningVariance } = this;
    return { gamma, beta, runningMean, runningVariance };
  }
}

/** What kernels work on: a host tensor's elements, or the device tensor. */
function elementsOf(tensor: Activation): FloatArray | DeviceTensor {
  return isDeviceTensor(tensor) ? tensor : tensor.data;
}

/** What callers work on: kernels' elements with their shape. */
function activationOf(elements: FloatArray | DeviceTensor, shape: readonly number[]): Activation {
  return ArrayBuffer.isView(elements) ? { data: elements, shape: [...shape] } : elements;
}

/** The same tensor, though its owner gives the object another shape or other data. */
function snapshotOf(x: Activation): Activation {
  return isDeviceTensor(x) ? x : { data: x.data, shape: [...x.shape] };
}

/** The operations for the memory that x lies in. */
function operationsOn(x: Activation, kernels: Kernels): Operations<Memory> {
  if (!isDeviceTensor(x)) return kernels;
  if (kernels.device === undefined) {
    throw new BatchNormError(
      'UNSUPPORTED',
      'received a device tensor, expected a host tensor: these kernels have no device form',
    );
  }
  return kernels.device;
}

/** The gradient of parameters that there are none of: what was given for it, or nothing. Frees `unwanted` if it is on the device. */
function emptyLike(
  unwanted: Float64Array | OnDevice<Float64Array>,
  given: Float64Array | undefined,
): Float64Array | OnDevice<Float64Array> {
  const empty = new Float64Array(0);
  if (ArrayBuffer.isView(unwanted)) return given ?? empty;
  unwanted.dispose();
  return { read: () => empty, dispose: () => undefined };
}
