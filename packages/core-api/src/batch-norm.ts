// The layer: what users call. It validates, keeps parameters and running statistics, and leaves arithmetic to a backend.
import { type Activation, activationOf, elementsOf, operationsOn, snapshotOf } from './activation.js';
import type { Memory, Operations, Statistics } from './backend.js';
import { CallQueue } from './call-queue.js';
import { emptyLike, emptyOperations } from './empty-batch.js';
import { BatchNormError } from './errors.js';
import { valuesPerChannel } from './extent.js';
import { ForwardPass } from './forward-pass.js';
import { ForwardRecord } from './forward-record.js';
import { KernelCache } from './kernel-cache.js';
import { LentInput, noteWrite } from './lent-input.js';
import { looking } from './looking.js';
import type { BatchNormOptions, Momentum, ResolvedOptions } from './options.js';
import { RunningStatistics } from './running-statistics.js';
import { sharedByTwo } from './shared-value.js';
import {
  assertStateVector,
  type BatchNormState,
  readState,
  type StateVector,
  type StateVectors,
  writeState,
} from './state.js';
import type { DeviceTensor, FloatArray, OnDevice, Tensor } from './tensor.js';
import {
  assertBoolean,
  assertEnoughValues,
  assertLike,
  assertMomentum,
  assertOptionNames,
  assertSeparate,
  assertVector,
  fail,
  isDeviceTensor,
  resolveOptions,
  sameMemory,
  validateInput,
} from './validate.js';
import { zeros } from './vector.js';

export interface ForwardOptions<T extends Tensor | DeviceTensor = Tensor> {
  /** Batch statistics and an update of the running ones (true), or running statistics (false). Default true. */
  readonly training?: boolean;
  /** Whether a training forward updates the running statistics; with false it only uses the batch's. Default true. */
  readonly track?: boolean;
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
  /** [C]; empty without gamma. */
  readonly dgamma: GradientVector<T>;
  /** [C]; empty without beta. */
  readonly dbeta: GradientVector<T>;
}

/** On the host with host tensors; with device tensors on the device, until somebody reads it. */
export type GradientVector<T> = T extends DeviceTensor ? OnDevice<Float64Array> : Float64Array;

export interface BackwardOptions<T extends Tensor | DeviceTensor = Tensor> {
  /** Buffers that receive the gradients, such as those of the step before. `dx` may be dy itself. */
  readonly out?: Partial<Gradients<T>>;
}

/** What can be assigned to a vector of a layer. */
export type Numbers = FloatArray | readonly number[];

/** One forward, with everything as it was when it was called. */
interface ForwardRequest {
  readonly x: Activation;
  readonly training: boolean;
  readonly track: boolean;
  readonly out: Activation | undefined;
  readonly momentum: Momentum;
  /** Whether somebody may ask for the statistics afterwards. */
  readonly keepStatistics: boolean;
}

interface ForwardResult {
  readonly y: Activation;
  /** What the backward needs; undefined in place. */
  readonly record: ForwardRecord | undefined;
  /** What normalised x, for those who keep them: a copy, or theirs to dispose. */
  readonly statistics: Statistics | OnDevice<Statistics> | undefined;
}

/** Where gradients of parameters may go. */
interface Buffers {
  readonly dgamma: Float64Array | undefined;
  readonly dbeta: Float64Array | undefined;
}

const noBuffers: Buffers = { dgamma: undefined, dbeta: undefined };

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
  readonly #options: ResolvedOptions;
  readonly #queue = new CallQueue();
  readonly #kernels: KernelCache;
  readonly #running: RunningStatistics;
  /** gamma and beta as kernels get them: [C], also where the layer has none. */
  readonly #parameters: { readonly gamma: Float64Array; readonly beta: Float64Array };
  /** What users see of them. */
  readonly #gamma: Float64Array;
  readonly #beta: Float64Array;
  /** Where kernels put the gradients of parameters that nobody has. */
  readonly #unwanted: Buffers;
  #momentum: Momentum;
  /** The forward that `backward` differentiates. */
  #latest: ForwardRecord | undefined;
  /** Those of passes that are alive. */
  readonly #passes = new Set<ForwardRecord>();
  #disposed = false;

  /** Errors: `INVALID_OPTION`, `DTYPE_MISMATCH`, `LIMIT_EXCEEDED` for more channels than memory can hold. */
  constructor(options: BatchNormOptions) {
    this.#options = resolveOptions(options);
    const { backend, numFeatures: C, dtype, scale, center, trackRunningStatistics, runningVariance } = this.#options;
    this.#kernels = new KernelCache((extent) => backend.prepare({ extent, dtype }));
    this.#running = new RunningStatistics(trackRunningStatistics ? C : 0, runningVariance);
    this.#parameters = { gamma: zeros(C).fill(1), beta: zeros(C) };
    this.#unwanted = { dgamma: scale ? undefined : zeros(C), dbeta: center ? undefined : zeros(C) };
    this.#gamma = scale ? this.#parameters.gamma : new Float64Array(0);
    this.#beta = center ? this.#parameters.beta : new Float64Array(0);
    this.#momentum = this.#options.momentum;
    // What is no property of a layer, such as epsilon, can't be assigned, and nobody believes that it was.
    if (new.target === BatchNorm) Object.preventExtensions(this);
  }

  /** As they were given, with every default. */
  get options(): ResolvedOptions {
    return this.#options;
  }

  /**
   * [C], ones at first; empty without `scale`. Its elements may be written, and an array of as many numbers may be assigned, which
   * are copied. Await the calls before you change it. Errors of an assignment: `INVALID_STATE`, and nothing has changed.
   */
  get gamma(): Float64Array {
    return this.#gamma;
  }

  set gamma(values: Numbers) {
    assign('gamma', this.#gamma, values);
  }

  /** [C], zeros at first; empty without `center`. Otherwise as `gamma`. */
  get beta(): Float64Array {
    return this.#beta;
  }

  set beta(values: Numbers) {
    assign('beta', this.#beta, values);
  }

  /** [C], zeros at first; empty without running statistics. Otherwise as `gamma`. Errors: `UNSETTLED` (see `settle`). */
  get runningMean(): Float64Array {
    return this.#running.mean;
  }

  set runningMean(values: Numbers) {
    assign('runningMean', this.#running.mean, values);
  }

  /** [C], ones at first; empty without running statistics. Otherwise as `gamma`. Errors: `UNSETTLED` (see `settle`). */
  get runningVariance(): Float64Array {
    return this.#running.variance;
  }

  set runningVariance(values: Numbers) {
    assign('runningVariance', this.#running.variance, values);
  }

  /** How many batches the running statistics have seen. Errors: `UNSETTLED` (see `settle`). */
  get batchesTracked(): number {
    return this.#running.batchesTracked;
  }

  /**
   * How the forwards from now on are averaged in: for schedules. Errors of an assignment: `INVALID_OPTION`, also for a change to or
   * from 'exact', which has to see every batch.
   */
  get momentum(): Momentum {
    return this.#momentum;
  }

  set momentum(value: Momentum) {
    assertMomentum(value);
    if ((value === 'exact') !== (this.#momentum === 'exact')) {
      fail(
        'INVALID_OPTION',
        `momentum ${value} in a layer of momentum ${this.#momentum}`,
        "'exact' from the first batch to the last",
      );
    }
    this.#momentum = value;
  }

  /**
   * Normalises x: [N, C], [N, C, L], [N, C, H, W], …, with C = `numFeatures` channels on `axis`. Host in, host out; device
   * in, device out. x is lent until the next forward: leave it as it is until its backward is done, which else answers
   * `INPUT_CHANGED`.
   *
   * Errors: `INVALID_OPTION`, `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `EMPTY_BATCH`, `LIMIT_EXCEEDED`,
   * `SINGLE_VALUE`, `NON_FINITE_STATISTICS` (training with running statistics, and where arithmetic does not reach),
   * `INVALID_STATE` (inference with a running variance that can't be), `FOREIGN_TENSOR`, `DISPOSED`.
   */
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Promise<Tensor>;
  forward(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): Promise<DeviceTensor>;
  async forward(x: Activation, options: ForwardOptions<Activation> = {}): Promise<Activation> {
    const request = this.#request(x, options, false);
    return this.#call(async () => {
      const { y, record } = await this.#forward(request);
      this.#setLatest(record);
      return y;
    });
  }

  /**
   * The gradients of the latest `forward`: through the batch statistics after a training forward, with constant statistics
   * after an inference forward. dy has the shape of that forward's x, and lies where x lies.
   *
   * Errors: `FORWARD_REQUIRED` (also where x was disposed or transferred), `INPUT_CHANGED`, `INVALID_OPTION`, `INVALID_TENSOR`,
   * `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `NON_FINITE_STATISTICS` (sums of finite numbers beyond the backend's arithmetic),
   * `FOREIGN_TENSOR`, `DISPOSED`.
   */
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Promise<Gradients<Tensor>>;
  backward(dy: DeviceTensor, options?: BackwardOptions<DeviceTensor>): Promise<Gradients<DeviceTensor>>;
  async backward(dy: Activation, options: BackwardOptions<never> = {}): Promise<Gradients<never>> {
    const out = outputsOf(options);
    return this.#call(() => {
      if (this.#latest === undefined) {
        throw new BatchNormError(
          'FORWARD_REQUIRED',
          'received backward(), expected a forward() before it, not in place',
        );
      }
      return this.#backward(this.#latest, dy, out);
    });
  }

  /**
   * As `forward`, with a handle that has y and its own backward: for several forwards before their backwards, as gradient
   * accumulation and siamese networks have them, and for reading the batch's statistics. Any number may be alive; the latest
   * `forward` stays what `backward` differentiates. Dispose it when its backward is done. Errors: those of `forward`.
   */
  forwardPass(x: Tensor, options?: ForwardOptions<Tensor>): Promise<ForwardPass<Tensor>>;
  forwardPass(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): Promise<ForwardPass<DeviceTensor>>;
  async forwardPass(x: Activation, options: ForwardOptions<Activation> = {}): Promise<ForwardPass<never>> {
    const request = this.#request(x, options, true);
    return this.#call(async () => this.#pass(await this.#forward(request)));
  }

  /**
   * Folds the batches that wait on the device into the running statistics, in order. Training on device tensors may leave some,
   * and then the running statistics can't be looked at (`UNSETTLED`); inference, `state()` and `dispose()` settle by themselves.
   *
   * Errors: `NON_FINITE_STATISTICS`, once, when one was not finite: it was left out, and the others are in. `DISPOSED`.
   */
  settle(): Promise<void> {
    return this.#call(() => this.#running.settle());
  }

  /** Begins the running statistics anew: mean 0, variance 1, no batch. Batches that wait, or were left out, are forgotten. Errors: `DISPOSED`. */
  resetRunningStatistics(): Promise<void> {
    return this.#call(async () => {
      const { mean, variance } = this.#running.vectors;
      mean.fill(0);
      variance.fill(1);
      this.#running.restart({ batchesTracked: 0, valuesTracked: 0 });
    });
  }

  /** Parameters and running statistics as plain JSON. Errors: `INVALID_STATE` if they hold what no state may have, `DISPOSED`. */
  state(): Promise<BatchNormState> {
    return this.#call(async () => {
      await this.#running.settle();
      const { batchesTracked, valuesTracked } = this.#running;
      const tracked = { batchesTracked, valuesTracked: this.#momentum === 'exact' ? valuesTracked : undefined };
      return writeState(this.options.numFeatures, this.#stateVectors(), tracked);
    });
  }

  /** Takes over a state that `state()` wrote; batches that wait, or were left out, are forgotten. Errors: `INVALID_STATE`, and nothing has changed; `DISPOSED`. */
  loadState(state: BatchNormState): Promise<void> {
    return this.#call(async () => {
      const { numFeatures } = this.options;
      this.#running.restart(readState(state, numFeatures, this.#stateVectors(), this.#momentum === 'exact'));
    });
  }

  /**
   * Settles, and frees what the layer and its passes hold on its backend. Again is allowed and does nothing. Errors: those of `settle`, when
   * all has been freed.
   */
  dispose(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#disposed) return;
      this.#disposed = true;
      try {
        await this.#running.settle();
      } finally {
        this.#setLatest(undefined);
        for (const record of this.#passes) record.release();
        this.#passes.clear();
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

  #request(x: Activation, options: ForwardOptions<Activation>, keepStatistics: boolean): ForwardRequest {
    return looking('INVALID_OPTION', 'options', () => {
      assertOptionNames(options, ['training', 'track', 'out']);
      const { training = true, track = true, out } = options;
      assertBoolean('training', training);
      assertBoolean('track', track);
      return { x, training, track, out, momentum: this.#momentum, keepStatistics };
    });
  }

  async #forward(request: ForwardRequest): Promise<ForwardResult> {
    const { x, training, out } = request;
    const { trackRunningStatistics } = this.options;
    const extent = validateInput(x, this.options);
    const isEmpty = valuesPerChannel(extent) === 0;
    const usesBatchStatistics = training || !trackRunningStatistics;
    if (usesBatchStatistics && !isEmpty) assertEnoughValues(extent, this.options);
    const inPlace = this.#checkOutput(request);
    if (isEmpty) return this.#passEmpty(request);

    // What is there at once is not awaited: that takes as long as a small batch.
    const lent = this.#lend(x);
    const input = lent instanceof LentInput ? lent : await lent;
    const lease = this.#kernels.lease(extent);
    const { kernels, release } = 'kernels' in lease ? lease : await lease;
    try {
      const operations = operationsOn(x, kernels);
      const { y, saved, statistics } = usesBatchStatistics
        ? await this.#normalizeByBatch(operations, request, valuesPerChannel(extent))
        : await this.#normalizeByRunning(operations, request);
      if (out !== undefined) noteWrite(out);
      const record = new ForwardRecord(input, operations, saved, usesBatchStatistics, release);
      if (inPlace) record.release();
      return { y: out ?? activationOf(y, x.shape), record: inPlace ? undefined : record, statistics };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Whether y is written over x. Errors: those of an `out` that can't be. */
  #checkOutput({ x, training, out }: ForwardRequest): boolean {
    if (out === undefined) return false;
    assertLike(out, 'out', x, this.options);
    const isInput = sameMemory(out, x);
    if (isInput && training) {
      fail(
        'INVALID_TENSOR',
        'out that is x in training',
        'a buffer of its own: the gradient needs x, which y does not tell where gamma is 0',
      );
    }
    if (!isInput) assertSeparate({ out }, { x });
    return isInput;
  }

  /** Remembers x until its backward. */
  #lend(x: Activation): LentInput | Promise<LentInput> {
    const lent = snapshotOf(x);
    return this.options.checks ? LentInput.copied(lent) : LentInput.sampled(lent);
  }

  /** With the batch's statistics, which the running ones take in if it is to be tracked. */
  async #normalizeByBatch(operations: Operations<Memory>, request: ForwardRequest, valuesPerChannel: number) {
    const { x, out, training, track, momentum, keepStatistics } = request;
    const { trackRunningStatistics, epsilon } = this.options;
    const { gamma, beta } = this.#parameters;
    const tracks = training && track && trackRunningStatistics;
    // Batches are averaged in in call order: those that wait on the device before one on the host.
    const most = isDeviceTensor(x) ? maxDeferredBatches : 1;
    if (tracks && this.#running.deferred >= most) await this.#running.fold();
    const input = { x: elementsOf(x), y: out && elementsOf(out), gamma, beta, epsilon, requireFinite: tracks };
    const { y, saved, statistics } = await operations.forwardTraining(input);
    const weight = { valuesPerChannel, momentum };
    try {
      if ('read' in statistics) {
        const [tracked, kept] = keepStatistics ? sharedByTwo(statistics) : [statistics, undefined];
        if (tracks) this.#running.trackOnDevice(tracked, weight);
        else tracked.dispose();
        return { y, saved, statistics: kept };
      }
      if (tracks) this.#running.track(statistics, weight);
      return { y, saved, statistics: keepStatistics ? copyOf(statistics) : undefined };
    } catch (error) {
      saved.dispose();
      throw error;
    }
  }

  async #normalizeByRunning(operations: Operations<Memory>, { x, out, keepStatistics }: ForwardRequest) {
    const { epsilon } = this.options;
    const { gamma, beta } = this.#parameters;
    await this.#running.settle();
    const { mean, variance } = this.#running.forInference(epsilon);
    const input = { x: elementsOf(x), y: out && elementsOf(out), gamma, beta, epsilon, mean, variance };
    const { y, saved } = await operations.forwardInference(input);
    return { y, saved, statistics: keepStatistics ? copyOf({ mean, variance }) : undefined };
  }

  async #passEmpty({ x, out, training, keepStatistics }: ForwardRequest): Promise<ForwardResult> {
    const nothing = () => undefined;
    const input = LentInput.sampled(snapshotOf(x));
    const record = new ForwardRecord(input, emptyOperations(this.options), { dispose: nothing }, training, nothing);
    const statistics = keepStatistics ? await this.#emptyStatistics(training) : undefined;
    return { y: out ?? (await emptyLike(x, this.options)), record, statistics };
  }

  /** Nothing has no mean; in inference they are the running ones. */
  async #emptyStatistics(training: boolean): Promise<Statistics> {
    const { numFeatures, trackRunningStatistics, epsilon } = this.options;
    if (!training && trackRunningStatistics) {
      await this.#running.settle();
      return copyOf(this.#running.forInference(epsilon));
    }
    const none = () => zeros(numFeatures).fill(Number.NaN);
    return { mean: none(), variance: none() };
  }

  #pass({ y, record, statistics }: ForwardResult): ForwardPass<never> {
    if (record) this.#passes.add(record);
    let isReleased = false;
    const assertAlive = () => {
      if (isReleased)
        throw new BatchNormError('DISPOSED', 'received a call of a pass after its dispose(), expected none');
    };
    const release = () => {
      if (isReleased) return;
      isReleased = true;
      record?.release();
      if (record) this.#passes.delete(record);
      if (statistics && 'read' in statistics) statistics.dispose();
    };
    const required = new BatchNormError(
      'FORWARD_REQUIRED',
      'received backward() of a forward in place, expected another out',
    );
    return new ForwardPass<never>(y as never, {
      backward: async (dy, options = {}) => {
        const out = outputsOf(options);
        return this.#call(async () => {
          assertAlive();
          if (record === undefined) throw required;
          return this.#backward(record, dy, out);
        });
      },
      statistics: () =>
        this.#call(async () => {
          assertAlive();
          return copyOf('read' in statistics! ? await statistics.read() : statistics!);
        }),
      release: () => this.#queue.run(async () => release()),
    });
  }

  async #backward(record: ForwardRecord, dy: Activation, out: Partial<Gradients>): Promise<Gradients<never>> {
    const { input: lent, operations, saved, usesBatchStatistics } = record;
    const { x } = lent;
    const { scale, center } = this.options;
    const checked = lent.assertUnchanged();
    if (checked !== undefined) await checked;
    assertLike(dy, 'dy', x, this.options);
    if (out.dx !== undefined) assertLike(out.dx, 'out.dx', x, this.options);
    if (out.dgamma !== undefined) assertVector(out.dgamma, 'out.dgamma', this.#gamma.length, x);
    if (out.dbeta !== undefined) assertVector(out.dbeta, 'out.dbeta', this.#beta.length, x);
    const inPlace = out.dx !== undefined && sameMemory(out.dx, dy);
    assertSeparate(out, inPlace ? { x } : { x, dy });

    const unwanted = isDeviceTensor(x) ? noBuffers : this.#unwanted;
    const gradients = {
      saved,
      dy: elementsOf(dy),
      dx: out.dx && elementsOf(out.dx),
      dgamma: scale ? out.dgamma : unwanted.dgamma,
      dbeta: center ? out.dbeta : unwanted.dbeta,
      parameterGradients: scale || center,
    };
    const { dx, dgamma, dbeta } = usesBatchStatistics
      ? await operations.backwardTraining(gradients)
      : await operations.backwardInference(gradients);
    if (out.dx !== undefined) noteWrite(out.dx);
    return {
      dx: out.dx ?? activationOf(dx, dy.shape),
      dgamma: scale ? dgamma : noneOf(dgamma, out.dgamma),
      dbeta: center ? dbeta : noneOf(dbeta, out.dbeta),
    } as Gradients<never>;
  }

  #setLatest(record: ForwardRecord | undefined): void {
    this.#latest?.release();
    this.#latest = record;
  }

  #stateVectors(): StateVectors {
    const { mean, variance } = this.#running.vectors;
    return { gamma: this.#gamma, beta: this.#beta, runningMean: mean, runningVariance: variance };
  }
}

/** Errors: `INVALID_STATE`. */
function assign(name: StateVector, target: Float64Array, values: unknown): void {
  looking('INVALID_STATE', `elements of ${name}`, () => {
    assertStateVector(name, values, target.length);
    target.set(values);
  });
}

function copyOf({ mean, variance }: Statistics): Statistics {
  return { mean: mean.slice(), variance: variance.slice() };
}

/** The buffers of a call, as they were when it was called. Errors: `INVALID_OPTION`. */
function outputsOf(options: BackwardOptions<never>): Partial<Gradients> {
  return looking('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['out']);
    const { out = {} } = options;
    assertOptionNames(out, ['dx', 'dgamma', 'dbeta']);
    return { ...out };
  });
}

/** The gradient of parameters that there are none of: what was given for it, or nothing. Frees `unwanted` if it is on the device. */
function noneOf(
  unwanted: Float64Array | OnDevice<Float64Array>,
  given: Float64Array | undefined,
): Float64Array | OnDevice<Float64Array> {
  const empty = new Float64Array(0);
  if (ArrayBuffer.isView(unwanted)) return given ?? empty;
  unwanted.dispose();
  return { read: () => empty, dispose: () => undefined };
}
