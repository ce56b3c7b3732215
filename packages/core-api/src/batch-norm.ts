// The layer: what users call. It does one call after the other, and keeps parameters, running statistics and records.
import type { Activation, AnyActivation } from './activation.js';
import type { AllocatedTensor } from './allocated-tensor.js';
import type { DeviceTensor } from './backend.js';
import { CallQueue, type Place } from './call-queue.js';
import {
  type BackwardOptions,
  backwardOutputs,
  batchesTrackedOf,
  type ForwardOptions,
  type ForwardRequest,
  forwardRequest,
  type Gradients,
  type LoadMomentsOptions,
  type MomentsOptions,
  maskOf,
  mayDifferOf,
  type NewBackwardOptions,
  type NewForwardOptions,
} from './calls.js';
import { callsOn } from './collective.js';
import { Computation, type ForwardResult } from './computation.js';
import { refuse } from './errors.js';
import { ForwardPass, SyncForwardPass } from './forward-pass.js';
import type { ForwardRecord } from './forward-record.js';
import type { SharedOperation } from './group.js';
import type { MaybePromise } from './maybe-promise.js';
import { checkedMoments, copyOf, type Moments, type Statistics, statisticsOf } from './moments.js';
import type { BatchNormOptions, Momentum, ResolvedOptions } from './options.js';
import { assertMomentum, resolveOptions } from './resolve-options.js';
import { assertTracking, RunningStatistics } from './running-statistics.js';
import { type BatchNormState, copyOfState, type LoadableState, readState, writeState } from './state.js';
import type { LoadStateOptions, StateOptions } from './state-options.js';
import { assignVector, type Numbers, type StateVectors } from './state-vectors.js';
import { arrived, begin, finishOn, type Steps } from './steps.js';
import type { SyncCalls } from './sync-calls.js';
import { dtypeOf, type Float16Tensor, type Tensor } from './tensor.js';
import { assertEnoughValues, checkedTensor } from './tensor-checks.js';
import { zeros } from './vector.js';

/** A call of one of the layer's operations. */
interface LayerCall<T> {
  readonly operation: SharedOperation;
  /** Whether other ranks have no part in it. */
  isAlone(): boolean;
  /** Reads the arguments: what is to be done at its turn, with its place among the calls that talk to other ranks. */
  read(): (place?: Place) => Steps<T>;
}

/** A forward that a pass holds. */
interface HeldForward {
  readonly y: never;
  backward(dy: Activation, options: BackwardOptions<never> | undefined): LayerCall<Gradients<never>>;
  statistics(): Steps<Statistics>;
  release(): void;
}

/**
 * Batch normalisation (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167):
 * y = gamma · (x − mean) / √(variance + epsilon) + beta, per channel.
 *
 * Calls take effect in call order, awaited or not. A call that fails changes nothing: not the running statistics, not
 * the forward that backward belongs to, not the caller's buffers; `dispose` alone frees all the same. Errors are
 * `BatchNormError`s.
 */
export class BatchNorm {
  readonly #options: ResolvedOptions;
  readonly #queue = new CallQueue();
  readonly #computation: Computation;
  readonly #running: RunningStatistics;
  /** As users see them: of length 0 where the layer has none. */
  readonly #gamma: Float64Array;
  readonly #beta: Float64Array;
  #momentum: Momentum;
  /** The forward that `backward` differentiates. */
  #latest: ForwardRecord | undefined;
  /** The records of passes that are alive. */
  readonly #passes = new Set<ForwardRecord>();
  #sync: SyncCalls | undefined;
  #disposed = false;

  /** Errors: `INVALID_OPTION`, `DTYPE_MISMATCH`, `LIMIT_EXCEEDED` for more channels than memory can hold. */
  constructor(options: BatchNormOptions) {
    this.#options = resolveOptions(options);
    const { numFeatures: C, scale, center, trackRunningStatistics, varianceEstimator } = this.#options;
    this.#running = new RunningStatistics(trackRunningStatistics ? C : 0, varianceEstimator);
    const [gamma, beta] = [zeros(C).fill(1), zeros(C)];
    this.#computation = new Computation(this.#options, { gamma, beta }, this.#running);
    this.#gamma = scale ? gamma : new Float64Array(0);
    this.#beta = center ? beta : new Float64Array(0);
    this.#momentum = this.#options.momentum;
    // Assigning what is no property of a layer, such as epsilon, then throws instead of doing nothing.
    if (new.target === BatchNorm) Object.preventExtensions(this);
  }

  /** The options that were given, with every default filled in. */
  get options(): ResolvedOptions {
    return this.#options;
  }

  /**
   * [C], ones at first; empty without `scale`. Elements may be written; an array of as many numbers may be assigned,
   * which are copied. Await earlier calls before you change it. Errors of an assignment: `INVALID_STATE`; then nothing
   * has changed.
   */
  get gamma(): Float64Array {
    return this.#gamma;
  }

  set gamma(values: Numbers) {
    assignVector('gamma', this.#gamma, values);
  }

  /** [C], zeros at first; empty without `center`. Otherwise as `gamma`. */
  get beta(): Float64Array {
    return this.#beta;
  }

  set beta(values: Numbers) {
    assignVector('beta', this.#beta, values);
  }

  /** [C], zeros at first; empty without running statistics. Else as `gamma`. Errors: `UNSETTLED` (see `settle`). */
  get runningMean(): Float64Array {
    return this.#running.mean;
  }

  set runningMean(values: Numbers) {
    assignVector('runningMean', this.#running.mean, values);
  }

  /** [C], ones at first; empty without running statistics. Otherwise as `gamma`. Errors: `UNSETTLED` (see `settle`). */
  get runningVariance(): Float64Array {
    return this.#running.variance;
  }

  set runningVariance(values: Numbers) {
    assignVector('runningVariance', this.#running.variance, values);
  }

  /** How many batches the running statistics have seen. Errors: `UNSETTLED` (see `settle`). */
  get batchesTracked(): number {
    return this.#running.batchesTracked;
  }

  /**
   * How the batches of later forwards are averaged into the running statistics. May be assigned, for a schedule. Errors
   * of an assignment: `INVALID_OPTION`, also for a change to or from 'exact', which has to see every batch.
   */
  get momentum(): Momentum {
    return this.#momentum;
  }

  set momentum(value: Momentum) {
    assertMomentum(value);
    if ((value === 'exact') !== (this.#momentum === 'exact')) {
      refuse(
        'INVALID_OPTION',
        `momentum ${value} in a layer of momentum ${this.#momentum}`,
        "'exact' from the first batch to the last",
      );
    }
    this.#momentum = value;
  }

  /**
   * Normalises x: [N, C], [N, C, L], [N, C, H, W], …, with C = `numFeatures` channels on `axis`. Host in, host out;
   * device in, device out. Without `out`, y is a new tensor: dispose it when you need it no more, and a later result
   * takes its memory, which is faster than fresh memory. x is lent to the layer: leave it as it is until its backward is
   * done or the next forward begins. A backward of an x that has changed fails with `INPUT_CHANGED`.
   *
   * Errors: `INVALID_OPTION`, `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `EMPTY_BATCH`, `LIMIT_EXCEEDED`,
   * `SINGLE_VALUE`, `NON_FINITE_STATISTICS` (training with running statistics, and where arithmetic does not reach),
   * `INVALID_STATE` (inference with a running variance that can't be), `FOREIGN_TENSOR`, `COLLECTIVE_FAILED` (another
   * rank of a collective), `DISPOSED`.
   */
  forward(x: Tensor, options?: NewForwardOptions): Promise<AllocatedTensor>;
  forward(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): Promise<DeviceTensor>;
  forward<X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): Promise<X>;
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Promise<Tensor>;
  async forward(x: Activation, options: ForwardOptions<Activation> = {}): Promise<Activation> {
    return this.#request(this.#forwardCall(x, options));
  }

  /**
   * The gradients of the latest `forward`: through the batch statistics after a training forward, with constant
   * statistics after an inference forward. dy has the shape of that forward's x, and lies where x lies.
   *
   * Errors: `FORWARD_REQUIRED` (also where x was disposed or transferred), `INPUT_CHANGED`, `INVALID_OPTION`,
   * `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `NON_FINITE_STATISTICS` (sums of finite numbers beyond the
   * backend's arithmetic), `FOREIGN_TENSOR`, `COLLECTIVE_FAILED`, `DISPOSED`.
   */
  backward(dy: Tensor, options?: NewBackwardOptions): Promise<Gradients<AllocatedTensor>>;
  backward(dy: DeviceTensor, options?: BackwardOptions<DeviceTensor>): Promise<Gradients<DeviceTensor>>;
  backward<X extends Float16Tensor>(dy: X, options?: BackwardOptions<X>): Promise<Gradients<X>>;
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Promise<Gradients<Tensor>>;
  async backward(dy: Activation, options: BackwardOptions<never> = {}): Promise<Gradients<never>> {
    return this.#request(this.#backwardCall(() => this.#latest, dy, options));
  }

  /**
   * A forward with its own backward, and with the statistics that normalised x: for several forwards before their
   * backwards, as in gradient accumulation and siamese networks. Any number of passes may be alive, and `backward`
   * still differentiates the latest `forward`. Dispose a pass when its backward is done. Errors: those of `forward`.
   */
  forwardPass(x: Tensor, options?: NewForwardOptions): Promise<ForwardPass<Tensor, AllocatedTensor>>;
  forwardPass(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): Promise<ForwardPass<DeviceTensor>>;
  forwardPass<X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): Promise<ForwardPass<X>>;
  forwardPass(x: Tensor, options?: ForwardOptions<Tensor>): Promise<ForwardPass<Tensor>>;
  async forwardPass(x: Activation, options: ForwardOptions<Activation> = {}): Promise<ForwardPass<never>> {
    return this.#request(this.#passCall(x, options, (held) => this.#pass(held)));
  }

  /**
   * `forward`, `backward` and `forwardPass` that return at once, for callers that can't await: a framework's gradient
   * function, a render. They compute on the calling thread, and block it; a layer's asynchronous calls must have ended.
   *
   * Errors: `UNSUPPORTED` where the backend is not `capabilities.synchronous`, and with a collective.
   */
  get sync(): SyncCalls {
    const { backend, collective } = this.#options;
    if (backend.capabilities.synchronous !== true) {
      refuse('UNSUPPORTED', `layer.sync on backend '${backend.name}'`, 'one whose `capabilities.synchronous` holds');
    }
    if (collective) refuse('UNSUPPORTED', 'layer.sync with a collective', 'none: other ranks have to be waited for');
    this.#sync ??= this.#syncCalls();
    return this.#sync;
  }

  /**
   * A tensor of the layer's dtype whose elements lie where the backend computes: passed to the layer it is used there
   * and not copied, and so are results without `out`. They may be anything until you write them. Where such memory is
   * not to be had, an ordinary array, so that a program is written once.
   *
   * Errors: `INVALID_TENSOR` for what is no shape, `LIMIT_EXCEEDED`, `DISPOSED`.
   */
  empty(shape: readonly number[]): AllocatedTensor {
    this.#assertAlive();
    const { backend, dtype } = this.#options;
    return backend.empty(shape, dtype);
  }

  /** The same with a copy of a tensor's elements. Errors: those, and `DTYPE_MISMATCH` for a tensor of another dtype. */
  from(tensor: Tensor): AllocatedTensor;
  from<X extends Float16Tensor>(tensor: X): X & Disposable;
  from(tensor: Tensor | Float16Tensor): AllocatedTensor {
    this.#assertAlive();
    const { backend, dtype } = this.#options;
    const given = checkedTensor(tensor);
    const received = dtypeOf(given.data);
    if (received !== dtype) refuse('DTYPE_MISMATCH', `tensor of ${received}`, `${dtype}, as the layer has`);
    return backend.from(given);
  }

  /**
   * The moments of x, or of those positions of it that count: a batch like that of `forward`, of which one value per
   * channel is enough; those of no values for an empty batch, where `emptyBatch` lets it pass. The layer stays as it is.
   * They can be merged (`mergeMoments`), and loaded (`loadMoments`). A collective has no part in them.
   *
   * Errors: `INVALID_TENSOR`, `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `EMPTY_BATCH`, `LIMIT_EXCEEDED`,
   * `NON_FINITE_STATISTICS` (values or moments that are not finite), `FOREIGN_TENSOR`, `DISPOSED`.
   */
  async moments(x: AnyActivation, options: MomentsOptions = {}): Promise<Moments> {
    const mask = maskOf(options);
    return this.#call(() => begin(this.#computation.moments(x as Activation, mask)));
  }

  /**
   * Averages the batches that wait on the device into the running statistics, in call order. Training on device tensors
   * may leave some waiting, and then reading the running statistics fails with `UNSETTLED`. Inference, `state()` and
   * `dispose()` settle by themselves.
   *
   * Errors: `NON_FINITE_STATISTICS`, once, if the statistics of a batch were not finite: that batch was left out, all
   * others are averaged in; so it is with `DISPOSED` if they never will have been computed. `UNSUPPORTED` while
   * statistics can't be read yet: they go on waiting. `DISPOSED`.
   */
  settle(): Promise<void> {
    return this.#call(() => begin(this.#running.settle()));
  }

  /**
   * Begins the running statistics anew: mean 0, variance 1, no batch. Forgets batches that wait on the device, and
   * errors of those that were left out. Errors: `DISPOSED`.
   */
  resetRunningStatistics(): Promise<void> {
    return this.#call(async () => {
      const { mean, variance } = this.#running.vectors;
      mean.fill(0);
      variance.fill(1);
      this.#running.restart({ batchesTracked: 0, valuesTracked: 0 });
    });
  }

  /**
   * Parameters, running statistics and options as plain JSON. Errors: `INVALID_STATE` where one of their numbers is not
   * finite, or a variance is negative; those of `settle`; `DISPOSED`.
   */
  state(): Promise<BatchNormState> {
    return this.#call(async () => {
      await begin(this.#running.settle());
      const { batchesTracked, valuesTracked } = this.#running;
      const tracked = { batchesTracked, valuesTracked: this.#momentum === 'exact' ? valuesTracked : undefined };
      return writeState(this.#options.numFeatures, this.#stateOptions(), this.#stateVectors(), tracked);
    });
  }

  /**
   * Loads a state that `state()` wrote, now or in an earlier version; it is copied before the call returns. Forgets batches that wait on the
   * device, and errors of those that were left out.
   *
   * Errors: `INVALID_STATE`; `OPTIONS_MISMATCH` for a state of a layer that computes something else, as one with another
   * epsilon or momentum does, unless `otherOptions` allows it; and then nothing has changed. `INVALID_OPTION`,
   * `DISPOSED`.
   */
  async loadState(state: LoadableState, options: LoadStateOptions = {}): Promise<void> {
    const mayDiffer = mayDifferOf(options);
    const { numFeatures } = this.#options;
    const given = copyOfState(state, numFeatures);
    return this.#call(async () => {
      this.#running.restart(readState(given, numFeatures, this.#stateOptions(), this.#stateVectors(), mayDiffer));
    });
  }

  /**
   * Makes the running mean and variance those of `moments`, with the layer's `varianceEstimator`. From there momentum
   * 'exact' goes on with their count, and 'cumulative' with `batchesTracked`, the number of batches that they are from:
   * at least 1, the default, and at most their count. Forgets batches that wait on the device, and errors of those that
   * were left out.
   *
   * Errors: `INVALID_STATE` for what are no moments of `numFeatures` channels, and without running statistics;
   * `EMPTY_BATCH` for a count of 0; `SINGLE_VALUE` for one of 1, as for a batch; `INVALID_OPTION`; `DISPOSED`. Then
   * nothing has changed.
   */
  async loadMoments(moments: Moments, options: LoadMomentsOptions = {}): Promise<void> {
    const { numFeatures: C } = this.#options;
    assertTracking(this.#options);
    const loaded = checkedMoments(moments, C);
    const { count } = loaded;
    if (count === 0) refuse('EMPTY_BATCH', 'moments of no values', 'at least one value per channel');
    assertEnoughValues({ outer: count, channels: C, inner: 1 }, this.#options);
    const batchesTracked = batchesTrackedOf(options, count);
    return this.#call(async () => this.#running.load(loaded, batchesTracked));
  }

  /**
   * Settles, and frees what the layer and its passes hold on the backend. May be called again, and then does nothing.
   * Errors: those of `settle`; everything has been freed then, too. So batches whose statistics can't be read yet
   * (`UNSUPPORTED`) are lost: where you want them, submit what computes them before.
   */
  dispose(): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#disposed) return;
      this.#disposed = true;
      try {
        await begin(this.#running.settle());
      } finally {
        this.#running.forgetDeferred();
        this.#setLatest(undefined);
        for (const record of this.#passes) record.release();
        this.#passes.clear();
        this.#computation.dispose();
      }
    });
  }

  #call<T>(call: () => MaybePromise<T>): Promise<T> {
    return this.#queue.run(() => {
      this.#assertAlive();
      return call();
    });
  }

  #assertAlive(): void {
    if (this.#disposed) refuse('DISPOSED', 'a call after dispose()', 'none');
  }

  /**
   * Reads the arguments of a call now, and gives it its turn. Where it is refused before it has begun, other ranks hear
   * of that, unless they do not expect this one.
   */
  #request<T>({ operation, isAlone, read }: LayerCall<T>): Promise<T> {
    let work: (place?: Place) => Steps<T>;
    try {
      work = read();
    } catch (error) {
      if (this.#options.collective === undefined) return Promise.reject(error);
      work = () => {
        throw error;
      };
    }
    const { collective } = this.#options;
    // Of which forward a backward is, and so whether others have a part in it, is known at its turn.
    const isPrivate = collective === undefined || (operation === 'forward' && isAlone());
    const place = isPrivate ? undefined : callsOn(collective).takePlace();
    const result = this.#queue.run(() => {
      try {
        this.#assertAlive();
        return begin(work(place));
      } catch (error) {
        return isAlone() ? Promise.reject(error) : this.#computation.fail(operation, error, place);
      }
    });
    if (place) result.then(place.leave, place.leave);
    return result;
  }

  /** The same at once, of one rank. */
  #now<T>({ read }: Pick<LayerCall<T>, 'read'>): T {
    const work = read();
    return this.#queue.runNow(() => {
      this.#assertAlive();
      return finishOn(this.#options.backend, work);
    });
  }

  #syncCalls(): SyncCalls {
    // Typed for either kind of memory, as the asynchronous calls are.
    const calls = {
      forward: (x: Activation, options = {}) => this.#now(this.#forwardCall(x, options)),
      backward: (dy: Activation, options = {}) => this.#now(this.#backwardCall(() => this.#latest, dy, options)),
      forwardPass: (x: Activation, options = {}) =>
        this.#now(this.#passCall(x, options, (held) => this.#syncPass(held))),
    };
    return calls as unknown as SyncCalls;
  }

  #forwardCall(x: Activation, options: ForwardOptions<Activation>): LayerCall<Activation> {
    return this.#ofForward(x, options, false, ({ y, record }) => {
      this.#setLatest(record);
      return y;
    });
  }

  #passCall<P>(x: Activation, options: ForwardOptions<Activation>, newPass: (held: HeldForward) => P): LayerCall<P> {
    return this.#ofForward(x, options, true, (result) => newPass(this.#hold(result)));
  }

  #ofForward<T>(
    x: Activation,
    options: ForwardOptions<Activation>,
    keepStatistics: boolean,
    end: (result: ForwardResult) => T,
  ): LayerCall<T> {
    return {
      operation: 'forward',
      isAlone: () => this.#options.trackRunningStatistics && isInference(options),
      read: () => {
        const request = forwardRequest(x, options, this.#momentum, keepStatistics);
        return (place) => this.#forward(request, place, end);
      },
    };
  }

  *#forward<T>(request: ForwardRequest, place: Place | undefined, end: (result: ForwardResult) => T): Steps<T> {
    return end(yield* this.#computation.forward(request, place));
  }

  /** Of the record that there is at its turn; `assertUsable` fails where nobody may ask for that any more. */
  #backwardCall(
    record: () => ForwardRecord | undefined,
    dy: Activation,
    options: BackwardOptions<never>,
    assertUsable: () => void = () => undefined,
  ): LayerCall<Gradients<never>> {
    return {
      operation: 'backward',
      isAlone: () => record()?.usesBatchStatistics === false,
      read: () => {
        const out = backwardOutputs(options);
        return (place) => {
          assertUsable();
          return this.#computation.backward(record(), dy, out, place);
        };
      },
    };
  }

  /** What a pass refers to instead of the layer's latest forward. */
  #hold({ y, record, statistics }: ForwardResult): HeldForward {
    if (record) this.#passes.add(record);
    let isReleased = false;
    const assertAlive = () => {
      if (isReleased) refuse('DISPOSED', 'a call of a pass after its dispose()', 'none');
    };
    return {
      y: y as never,
      backward: (dy, options = {}) => this.#backwardCall(() => record, dy, options, assertAlive),
      *statistics() {
        assertAlive();
        return 'read' in statistics! ? statisticsOf(yield* arrived(statistics.read())) : copyOf(statistics!);
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        record?.release();
        if (record) this.#passes.delete(record);
        if (statistics && 'read' in statistics) statistics.dispose();
      },
    };
  }

  #pass({ y, backward, statistics, release }: HeldForward): ForwardPass<never> {
    return new ForwardPass(y, {
      backward: (dy, options) => this.#request(backward(dy, options)),
      statistics: () => this.#call(() => begin(statistics())),
      release: () => this.#queue.run(release),
    });
  }

  #syncPass({ y, backward, statistics, release }: HeldForward): SyncForwardPass<never> {
    return new SyncForwardPass(y, {
      backward: (dy, options) => this.#now(backward(dy, options)),
      statistics: () => this.#now({ read: () => statistics }),
      releaseNow: () => this.#queue.runNow(release),
      release: () => this.#queue.run(release),
    });
  }

  #setLatest(record: ForwardRecord | undefined): void {
    this.#latest?.release();
    this.#latest = record;
  }

  #stateOptions(): StateOptions {
    return { ...this.#options, momentum: this.#momentum };
  }

  #stateVectors(): StateVectors {
    const { mean, variance } = this.#running.vectors;
    return { gamma: this.#gamma, beta: this.#beta, runningMean: mean, runningVariance: variance };
  }
}

/** Whether options say so, as far as they can be read. */
function isInference(options: ForwardOptions<Activation>): boolean {
  try {
    return options.training === false;
  } catch {
    return false;
  }
}
