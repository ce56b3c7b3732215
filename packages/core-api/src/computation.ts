// One forward or backward of a layer, or the moments of a batch: inputs are checked, kernels compute, and running
// statistics take in the batch of a forward.
import { type Activation, activationOf, elementsOf, isDeviceTensor } from './activation.js';
import type { Memory, Operations } from './backend.js';
import type { ForwardRequest, Gradients } from './calls.js';
import { emptyLike, emptyOperations } from './empty-batch.js';
import { refuse } from './errors.js';
import { valuesPerChannel } from './extent.js';
import { ForwardRecord } from './forward-record.js';
import { KernelCache, type OperationsByMemory } from './kernel-cache.js';
import { countWrite, LentInput } from './lent-input.js';
import { copiedMoments, copyOf, type Moments, noMoments, type Statistics, statisticsOf } from './moments.js';
import type { ResolvedOptions } from './options.js';
import { assertSeparate, sameMemory } from './overlap.js';
import type { RunningStatistics } from './running-statistics.js';
import { sharedByTwo } from './shared-value.js';
import type { OnDevice } from './tensor.js';
import { assertEnoughValues, assertVector, checkedInput, checkedLike } from './tensor-checks.js';
import { zeros } from './vector.js';

/** gamma and beta as kernels get them: [C] each, also where the layer has none. */
export interface Parameters {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

export interface ForwardResult {
  readonly y: Activation;
  /** What the backward needs; undefined where y was written over x. */
  readonly record: ForwardRecord | undefined;
  /** What normalised x, if that was to be kept: a copy on the host, or the receiver's to dispose. */
  readonly statistics: Statistics | OnDevice<Moments> | undefined;
}

/** Where gradients of parameters go. */
interface GradientBuffers {
  readonly dgamma: Float64Array | undefined;
  readonly dbeta: Float64Array | undefined;
}

const noBuffers: GradientBuffers = { dgamma: undefined, dbeta: undefined };

/** As many batches may wait on the device to be averaged into the running statistics. */
const maxDeferredBatches = 64;

export class Computation {
  readonly #options: ResolvedOptions;
  readonly #parameters: Parameters;
  readonly #running: RunningStatistics;
  readonly #kernels: KernelCache;
  /** Host buffers for the gradients of parameters that the layer does not have, and nobody sees. */
  readonly #unwanted: GradientBuffers;

  constructor(options: ResolvedOptions, parameters: Parameters, running: RunningStatistics) {
    const { backend, numFeatures: C, dtype, scale, center } = options;
    this.#options = options;
    this.#parameters = parameters;
    this.#running = running;
    this.#kernels = new KernelCache((extent) => backend.prepare({ extent, dtype }));
    this.#unwanted = { dgamma: scale ? undefined : zeros(C), dbeta: center ? undefined : zeros(C) };
  }

  /** Frees the kernels, once every record has been released. */
  dispose(): void {
    this.#kernels.dispose();
  }

  /** Errors: those of `BatchNorm.forward`; then nothing has changed. */
  async forward(request: ForwardRequest): Promise<ForwardResult> {
    const { training, out } = request;
    const { trackRunningStatistics } = this.#options;
    const { x, extent } = checkedInput(request.x, this.#options);
    const isEmpty = valuesPerChannel(extent) === 0;
    const usesBatchStatistics = training || !trackRunningStatistics;
    if (usesBatchStatistics && !isEmpty) assertEnoughValues(extent, this.#options);
    const output = out && checkedLike(out, 'out', x, this.#options);
    const inPlace = output !== undefined && this.#isInPlace(output, x, training);
    if (isEmpty) return this.#passEmpty(request, x);

    // Only promises are awaited: awaiting a value that is there takes as long as a small batch.
    const lent = this.#lend(x);
    const input = lent instanceof LentInput ? lent : await lent;
    const lease = this.#kernels.lease(extent);
    const { operations: available, release } = 'operations' in lease ? lease : await lease;
    try {
      const operations = operationsOn(x, available);
      const { y, saved, statistics } = usesBatchStatistics
        ? await this.#normalizeByBatch(operations, request, x, output)
        : await this.#normalizeByRunning(operations, request, x, output);
      if (output !== undefined) countWrite(output);
      const record = new ForwardRecord(input, operations, saved, usesBatchStatistics, release);
      if (inPlace) record.release();
      return { y: out ?? activationOf(y, x.shape), record: inPlace ? undefined : record, statistics };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Whether y is written over x. Errors: `INVALID_TENSOR` where that can't be, or they overlap. */
  #isInPlace(out: Activation, x: Activation, training: boolean): boolean {
    const isInput = sameMemory(out, x);
    if (isInput && training) {
      refuse(
        'INVALID_TENSOR',
        'out that is x in training',
        'a buffer of its own: the gradient needs x, which y does not tell where gamma is 0',
      );
    }
    if (!isInput) assertSeparate({ out }, { x });
    return isInput;
  }

  #lend(x: Activation): LentInput | Promise<LentInput> {
    return this.#options.checks ? LentInput.copied(x) : LentInput.sampled(x);
  }

  /** With the statistics of the batch, which are averaged into the running ones if the request asks for that. */
  async #normalizeByBatch(
    operations: Operations<Memory>,
    { training, track, momentum, keepStatistics }: ForwardRequest,
    x: Activation,
    out: Activation | undefined,
  ) {
    const { trackRunningStatistics, epsilon } = this.#options;
    const { gamma, beta } = this.#parameters;
    const tracks = training && track && trackRunningStatistics;
    // Batches are averaged in call order: those that wait on the device come before one on the host.
    const most = isDeviceTensor(x) ? maxDeferredBatches : 1;
    if (tracks && this.#running.deferred >= most) await this.#running.trackDeferred();
    const input = { x: elementsOf(x), y: out && elementsOf(out), gamma, beta, epsilon, requireFinite: tracks };
    const { y, saved, moments } = await operations.forwardTraining(input);
    try {
      if ('read' in moments) {
        const [tracked, kept] = keepStatistics ? sharedByTwo(moments) : [moments, undefined];
        if (tracks) this.#running.trackOnDevice(tracked, momentum);
        else tracked.dispose();
        return { y, saved, statistics: kept };
      }
      if (tracks) this.#running.track(moments, momentum);
      return { y, saved, statistics: keepStatistics ? statisticsOf(moments) : undefined };
    } catch (error) {
      saved.dispose();
      throw error;
    }
  }

  async #normalizeByRunning(
    operations: Operations<Memory>,
    { keepStatistics }: ForwardRequest,
    x: Activation,
    out: Activation | undefined,
  ) {
    const { epsilon } = this.#options;
    const { gamma, beta } = this.#parameters;
    await this.#running.settle();
    const { mean, variance } = this.#running.forInference(epsilon);
    const input = { x: elementsOf(x), y: out && elementsOf(out), gamma, beta, epsilon, mean, variance };
    const { y, saved } = await operations.forwardInference(input);
    return { y, saved, statistics: keepStatistics ? copyOf({ mean, variance }) : undefined };
  }

  async #passEmpty({ out, training, keepStatistics }: ForwardRequest, x: Activation): Promise<ForwardResult> {
    const nothing = () => undefined;
    const input = LentInput.sampled(x);
    const record = new ForwardRecord(input, emptyOperations(this.#options), { dispose: nothing }, training, nothing);
    const statistics = keepStatistics ? await this.#emptyStatistics(training) : undefined;
    return { y: out ?? (await emptyLike(x, this.#options)), record, statistics };
  }

  /** The running statistics in inference; NaN elsewhere, because no values have no mean. */
  async #emptyStatistics(training: boolean): Promise<Statistics> {
    const { numFeatures, trackRunningStatistics, epsilon } = this.#options;
    if (!training && trackRunningStatistics) {
      await this.#running.settle();
      return copyOf(this.#running.forInference(epsilon));
    }
    const none = () => zeros(numFeatures).fill(Number.NaN);
    return { mean: none(), variance: none() };
  }

  /** Errors: those of `BatchNorm.moments`. */
  async moments(value: Activation): Promise<Moments> {
    const { x, extent } = checkedInput(value, this.#options);
    const { numFeatures, epsilon } = this.#options;
    if (valuesPerChannel(extent) === 0) return noMoments(numFeatures);
    const lease = this.#kernels.lease(extent);
    const { operations, release } = 'operations' in lease ? lease : await lease;
    try {
      const moments = await operationsOn(x, operations).moments({ x: elementsOf(x), epsilon });
      if (!('read' in moments)) return copiedMoments(moments);
      try {
        return copiedMoments(await moments.read());
      } finally {
        moments.dispose();
      }
    } finally {
      release();
    }
  }

  /** Errors: those of `BatchNorm.backward`; then nothing has changed. */
  async backward(record: ForwardRecord, dy: Activation, out: Partial<Gradients>): Promise<Gradients<never>> {
    const { input: lent, operations, saved, usesBatchStatistics } = record;
    const { x } = lent;
    const { scale, center, numFeatures: C } = this.#options;
    const checked = lent.assertUnchanged();
    if (checked !== undefined) await checked;
    const upstream = checkedLike(dy, 'dy', x, this.#options);
    const downstream = out.dx && checkedLike(out.dx, 'out.dx', x, this.#options);
    if (out.dgamma !== undefined) assertVector(out.dgamma, 'out.dgamma', scale ? C : 0, x);
    if (out.dbeta !== undefined) assertVector(out.dbeta, 'out.dbeta', center ? C : 0, x);
    const inPlace = downstream !== undefined && sameMemory(downstream, upstream);
    const outputs = { dx: downstream, dgamma: out.dgamma, dbeta: out.dbeta };
    assertSeparate(outputs, inPlace ? { x } : { x, dy: upstream });

    const unwanted = isDeviceTensor(x) ? noBuffers : this.#unwanted;
    const gradients = {
      saved,
      dy: elementsOf(upstream),
      dx: downstream && elementsOf(downstream),
      dgamma: scale ? out.dgamma : unwanted.dgamma,
      dbeta: center ? out.dbeta : unwanted.dbeta,
      parameterGradients: scale || center,
    };
    const { dx, dgamma, dbeta } = usesBatchStatistics
      ? await operations.backwardTraining(gradients)
      : await operations.backwardInference(gradients);
    if (downstream !== undefined) countWrite(downstream);
    return {
      dx: out.dx ?? activationOf(dx, x.shape),
      dgamma: scale ? dgamma : emptyGradient(dgamma, out.dgamma),
      dbeta: center ? dbeta : emptyGradient(dbeta, out.dbeta),
    } as Gradients<never>;
  }
}

/** The operations for the memory that x lies in. Errors: `UNSUPPORTED`. */
function operationsOn(x: Activation, { host, device }: OperationsByMemory): Operations<Memory> {
  if (!isDeviceTensor(x)) return host;
  return device ?? refuse('UNSUPPORTED', 'a device tensor', 'a host tensor: these kernels have no device form');
}

/** The gradient of a parameter that the layer lacks: `out`, or a new vector of length 0. Disposes what kernels made. */
function emptyGradient(
  made: Float64Array | OnDevice<Float64Array>,
  out: Float64Array | undefined,
): Float64Array | OnDevice<Float64Array> {
  const empty = new Float64Array(0);
  if (ArrayBuffer.isView(made)) return out ?? empty;
  made.dispose();
  return { read: () => empty, dispose: () => undefined };
}
