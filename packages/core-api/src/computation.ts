// One forward or backward of a layer, or the moments of a batch: inputs are checked, kernels compute, and running
// statistics take in the batch of a forward.
import { type Activation, elementsOf, isDeviceTensor } from './activation.js';
import type { AllocatedTensor } from './allocated-tensor.js';
import type { DeviceTensor, ForwardInput, ForwardOutput, Memory } from './backend.js';
import type { Place } from './call-queue.js';
import type { ForwardRequest, Gradients } from './calls.js';
import type { CountedPositions } from './counted-positions.js';
import { emptyLike, emptyOperations } from './empty-batch.js';
import { refuse } from './errors.js';
import { valuesPerChannel } from './extent.js';
import { ForwardRecord } from './forward-record.js';
import { codeOf, Group, type Peers, type Round, type SharedOperation } from './group.js';
import { KernelCache, type OperationsByMemory } from './kernel-cache.js';
import { countWrite, LentInput } from './lent-input.js';
import { countedPositions, type Mask } from './mask.js';
import { copiedMoments, copyOf, type Moments, noMoments, type Statistics, statisticsOf } from './moments.js';
import type { StagedOperations } from './operations.js';
import type { ResolvedOptions } from './options.js';
import { assertSeparate, sameMemory } from './overlap.js';
import { ResultMemory } from './result-memory.js';
import type { RunningStatistics } from './running-statistics.js';
import { sharedByTwo } from './shared-value.js';
import { arrived, begin, type Steps } from './steps.js';
import type { FloatArray, OnDevice } from './tensor.js';
import {
  assertEnoughValues,
  assertVector,
  type CheckedActivation,
  checkedInput,
  checkedLike,
} from './tensor-checks.js';
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

/** What kernels made of an x, and what normalised it, if that was to be kept. */
interface Normalized extends Pick<ForwardResult, 'statistics'>, ForwardOutput<Memory> {}

/** What kernels get of a request. */
type Given = Pick<ForwardInput<Memory>, 'x' | 'residual' | 'y'>;

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
  readonly #results: ResultMemory;
  readonly #group: Group | undefined;
  #forwardsTogether = 0;
  /** Host buffers for the gradients of parameters that the layer does not have, and nobody sees. */
  readonly #unwanted: GradientBuffers;

  constructor(options: ResolvedOptions, parameters: Parameters, running: RunningStatistics) {
    const { backend, numFeatures: C, dtype, activation, scale, center, collective } = options;
    this.#options = options;
    this.#parameters = parameters;
    this.#running = running;
    this.#kernels = new KernelCache((extent) => backend.prepare({ extent, dtype, activation }));
    this.#results = new ResultMemory(backend);
    this.#group = collective && new Group(collective, options);
    this.#unwanted = { dgamma: scale ? undefined : zeros(C), dbeta: center ? undefined : zeros(C) };
  }

  /** Frees the kernels, once every record has been released. */
  dispose(): void {
    this.#results.close();
    this.#kernels.dispose();
  }

  /** Errors: those of `BatchNorm.forward`; then nothing has changed. */
  forward(request: ForwardRequest, place?: Place): Steps<ForwardResult> {
    const { training, track, momentum } = request;
    const usesBatchStatistics = training || !this.#options.trackRunningStatistics;
    if (this.#group === undefined || !usesBatchStatistics) return this.#forward(request, usesBatchStatistics);
    const call = { training: +training, track: +track, momentum: codeOf(momentum) };
    const together = this.#group.call('forward', call, place, async (round) => {
      const result = await begin(this.#forward(request, usesBatchStatistics, round));
      this.#forwardsTogether++;
      if (result.record) result.record.together = this.#forwardsTogether;
      return result;
    });
    return arrived(together);
  }

  /** A call that is refused before it begins: where other ranks may wait for this one, they hear of it. */
  fail(operation: SharedOperation, error: unknown, place?: Place): Promise<never> {
    const refused = () => Promise.reject(error);
    return this.#group ? this.#group.call(operation, {}, place, refused) : refused();
  }

  *#forward(request: ForwardRequest, usesBatchStatistics: boolean, round?: Round): Steps<ForwardResult> {
    const { training, out } = request;
    const { x, extent } = checkedInput(request.x, this.#options);
    const isEmpty = valuesPerChannel(extent) === 0;
    const residual =
      request.residual === undefined ? undefined : checkedLike(request.residual, 'residual', x, this.#options);
    const mask = this.#countedPositions(request.mask, x);
    if (usesBatchStatistics && !isEmpty && !round) this.#assertEnoughValues(mask?.count ?? valuesPerChannel(extent));
    const output = out && checkedLike(out, 'out', x, this.#options);
    const inPlace = output !== undefined && this.#isInPlace(output, x, training);
    if (output !== undefined && residual !== undefined) assertSeparate({ out: output }, { residual });
    if (isEmpty) return yield* this.#passEmpty(request, x, usesBatchStatistics, round);

    const lent = yield* this.#lend('x', x);
    // A nonlinearity's gradient depends on the residual.
    const isNeeded = residual !== undefined && this.#options.activation !== 'none';
    const lentResidual = isNeeded ? yield* this.#lend('residual', residual) : undefined;
    const { operations: available, release } = yield* this.#kernels.lease(extent);
    let isHeld = false;
    let room: AllocatedTensor | undefined;
    try {
      const operations = operationsOn(x, available);
      room = output ? undefined : this.#roomFor(x);
      const target = output ?? room;
      const input = { x: elementsOf(x), residual: residual && elementsOf(residual), y: target && elementsOf(target) };
      const { y, saved, statistics } = usesBatchStatistics
        ? yield* this.#normalizeByBatch(operations, request, input, mask, round)
        : yield* this.#normalizeByRunning(operations, request, input);
      if (output !== undefined) countWrite(output);
      const record = new ForwardRecord(lent, residual, lentResidual, operations, saved, usesBatchStatistics, release);
      isHeld = true;
      if (inPlace) record.release();
      return { y: out ?? room ?? this.#resultOf(y, x), record: inPlace ? undefined : record, statistics };
    } finally {
      if (!isHeld) {
        room?.dispose();
        release();
      }
    }
  }

  /** Where a result is to go, if there is better memory than kernels make. Errors: `LIMIT_EXCEEDED`. */
  #roomFor(x: Activation): AllocatedTensor | undefined {
    return isDeviceTensor(x) ? undefined : this.#results.take(x);
  }

  /** What callers get of what kernels have made. */
  #resultOf(elements: FloatArray | DeviceTensor, x: Activation): Activation {
    return isDeviceTensor(x) || !ArrayBuffer.isView(elements)
      ? (elements as DeviceTensor)
      : this.#results.resultOf(elements, x);
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

  #countedPositions(mask: Mask | undefined, { shape }: Activation): CountedPositions | undefined {
    return mask === undefined ? undefined : countedPositions(mask, shape, this.#options.axis);
  }

  /** Errors: `EMPTY_BATCH`, `SINGLE_VALUE`. */
  #assertEnoughValues(count: number): void {
    if (count === 0) refuse('EMPTY_BATCH', 'a batch of which no position counts', 'at least one value per channel');
    assertEnoughValues({ outer: count, channels: this.#options.numFeatures, inner: 1 }, this.#options);
  }

  *#lend(name: 'x' | 'residual', input: CheckedActivation): Steps<LentInput> {
    return this.#options.checks ? yield* LentInput.copied(name, input) : LentInput.sampled(name, input);
  }

  /** With the statistics of the batch, which are averaged into the running ones if the request asks for that. */
  *#normalizeByBatch(
    operations: StagedOperations<Memory>,
    request: ForwardRequest,
    { x, residual, y: out }: Given,
    mask: CountedPositions | undefined,
    round: Round | undefined,
  ): Steps<Normalized> {
    const { momentum, keepStatistics } = request;
    const { epsilon } = this.#options;
    const { gamma, beta } = this.#parameters;
    const tracks = this.#tracks(request);
    // Batches are averaged in call order: those that wait on the device come before one on the host.
    const isOnHost = ArrayBuffer.isView(x);
    const most = isOnHost ? 1 : maxDeferredBatches;
    const refused = tracks && this.#running.deferred >= most && (yield* this.#running.trackDeferred());
    if (refused && isOnHost) throw refused;
    const input = { x, residual, mask, y: out, gamma, beta, epsilon, requireFinite: tracks };
    const { y, saved, moments } = yield* arrived(operations.forwardTraining(input, round && this.#peers(round)));
    try {
      if (round) yield* arrived(round.confirm());
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
      if (out === undefined && 'dispose' in y) y.dispose();
      throw error;
    }
  }

  /** Whether the running statistics take in the batch. */
  #tracks({ training, track }: ForwardRequest): boolean {
    return training && track && this.#options.trackRunningStatistics;
  }

  /** The other ranks. Together there must be enough values. */
  #peers(round: Round): Peers {
    return {
      mergeMoments: async (local) => {
        const all = await round.mergeMoments(local);
        this.#assertEnoughValues(all.count);
        return all;
      },
      assertFinite: (all) => round.assertFinite(all),
      addSums: (local) => round.addSums(local),
    };
  }

  *#normalizeByRunning(
    operations: StagedOperations<Memory>,
    { keepStatistics }: ForwardRequest,
    { x, residual, y: out }: Given,
  ): Steps<Normalized> {
    const { epsilon } = this.#options;
    const { gamma, beta } = this.#parameters;
    yield* this.#running.settle();
    const { mean, variance } = this.#running.forInference(epsilon);
    const input = { x, residual, y: out, gamma, beta, epsilon, mean, variance };
    const { y, saved } = yield* arrived(operations.forwardInference(input));
    return { y, saved, statistics: keepStatistics ? copyOf({ mean, variance }) : undefined };
  }

  *#passEmpty(
    request: ForwardRequest,
    x: CheckedActivation,
    usesBatchStatistics: boolean,
    round: Round | undefined,
  ): Steps<ForwardResult> {
    const { out, residual, training, keepStatistics } = request;
    const nothing = () => undefined;
    const lent = LentInput.sampled('x', x);
    const operations = emptyOperations(this.#options, residual !== undefined);
    const saved = { dispose: nothing };
    const record = new ForwardRecord(lent, residual, undefined, operations, saved, usesBatchStatistics, nothing);
    const y = out ?? (yield* emptyLike(x, this.#options));
    const others = round && (yield* this.#joinEmpty(round, request));
    const statistics = keepStatistics ? (others ?? (yield* this.#emptyStatistics(training))) : undefined;
    return { y, record, statistics };
  }

  /** The statistics of a batch of which all values are on other ranks. */
  *#joinEmpty(round: Round, request: ForwardRequest): Steps<Statistics> {
    const moments = yield* arrived(round.mergeMoments(noMoments(this.#options.numFeatures)));
    const isEmpty = moments.count === 0;
    if (!isEmpty) this.#assertEnoughValues(moments.count);
    const tracks = this.#tracks(request) && !isEmpty;
    if (tracks) round.assertFinite(moments);
    yield* arrived(round.confirm());
    if (tracks) {
      const refused = yield* this.#running.trackDeferred();
      if (refused) throw refused;
      this.#running.track(moments, request.momentum);
    }
    return statisticsOf(moments);
  }

  /** The running statistics in inference; NaN elsewhere, because no values have no mean. */
  *#emptyStatistics(training: boolean): Steps<Statistics> {
    const { numFeatures, trackRunningStatistics, epsilon } = this.#options;
    if (!training && trackRunningStatistics) {
      yield* this.#running.settle();
      return copyOf(this.#running.forInference(epsilon));
    }
    const none = () => zeros(numFeatures).fill(Number.NaN);
    return { mean: none(), variance: none() };
  }

  /** Errors: those of `BatchNorm.moments`. */
  *moments(value: Activation, givenMask: Mask | undefined): Steps<Moments> {
    const { x, extent } = checkedInput(value, this.#options);
    const { numFeatures, epsilon } = this.#options;
    const mask = this.#countedPositions(givenMask, x);
    if (valuesPerChannel(extent) === 0) return noMoments(numFeatures);
    if (mask?.count === 0) this.#assertEnoughValues(0);
    const { operations, release } = yield* this.#kernels.lease(extent);
    try {
      const moments = yield* arrived(operationsOn(x, operations).moments({ x: elementsOf(x), epsilon, mask }));
      if (!('read' in moments)) return copiedMoments(moments);
      try {
        return copiedMoments(yield* arrived(moments.read()));
      } finally {
        moments.dispose();
      }
    } finally {
      release();
    }
  }

  /**
   * Of the latest forward, or of a pass. Without one, which is refused, the other ranks may wait for this one. Errors:
   * those of `BatchNorm.backward`; then nothing has changed.
   */
  backward(
    record: ForwardRecord | undefined,
    dy: Activation,
    out: Partial<Gradients>,
    place?: Place,
  ): Steps<Gradients<never>> {
    if (this.#group === undefined || record?.usesBatchStatistics === false) return this.#backward(record, dy, out);
    const call = { ofForward: record?.together ?? 0 };
    const backward = async (round: Round) => begin(this.#backward(record, dy, out, round));
    return arrived(this.#group.call('backward', call, place, backward));
  }

  *#backward(
    record: ForwardRecord | undefined,
    dy: Activation,
    out: Partial<Gradients>,
    round?: Round,
  ): Steps<Gradients<never>> {
    if (record === undefined) refuse('FORWARD_REQUIRED', 'backward()', 'a forward() before it, not in place');
    const { lentResidual, residual, operations, saved, usesBatchStatistics } = record;
    const x = record.x.activation;
    const { scale, center, numFeatures: C } = this.#options;
    yield* record.x.assertUnchanged();
    if (lentResidual !== undefined) yield* lentResidual.assertUnchanged();
    const upstream = checkedLike(dy, 'dy', x, this.#options);
    const downstream = out.dx && checkedLike(out.dx, 'out.dx', x, this.#options);
    if (out.dresidual !== undefined && residual === undefined) {
      refuse('INVALID_OPTION', 'out.dresidual after a forward without a residual', 'none');
    }
    const skip = out.dresidual && checkedLike(out.dresidual, 'out.dresidual', x, this.#options);
    if (out.dgamma !== undefined) assertVector(out.dgamma, 'out.dgamma', scale ? C : 0, x);
    if (out.dbeta !== undefined) assertVector(out.dbeta, 'out.dbeta', center ? C : 0, x);
    const inPlace = downstream !== undefined && sameMemory(downstream, upstream);
    const outputs = { dx: downstream, dgamma: out.dgamma, dbeta: out.dbeta };
    // Without a nonlinearity the residual is not needed any more.
    const needed = lentResidual?.activation;
    assertSeparate(outputs, inPlace ? { x, residual: needed } : { x, residual: needed, dy: upstream });
    if (skip !== undefined) assertSeparate({ dresidual: skip }, { x, residual: needed, dy: upstream, ...outputs });

    const unwanted = isDeviceTensor(x) ? noBuffers : this.#unwanted;
    let [room, roomForSkip]: (AllocatedTensor | undefined)[] = [];
    let isDone = false;
    try {
      if (!downstream) room = this.#roomFor(x);
      if (residual !== undefined && !skip) roomForSkip = this.#roomFor(x);
      const [target, targetOfSkip] = [downstream ?? room, skip ?? roomForSkip];
      const gradients = {
        saved,
        dy: elementsOf(upstream),
        dx: target && elementsOf(target),
        dresidual: targetOfSkip && elementsOf(targetOfSkip),
        dgamma: scale ? out.dgamma : unwanted.dgamma,
        dbeta: center ? out.dbeta : unwanted.dbeta,
        parameterGradients: scale || center,
      };
      const { dx, dresidual, dgamma, dbeta } = usesBatchStatistics
        ? yield* arrived(operations.backwardTraining(gradients, round))
        : yield* arrived(operations.backwardInference(gradients));
      isDone = true;
      if (downstream !== undefined) countWrite(downstream);
      if (skip !== undefined) countWrite(skip);
      return {
        dx: out.dx ?? room ?? this.#resultOf(dx, x),
        ...(dresidual && { dresidual: out.dresidual ?? roomForSkip ?? this.#resultOf(dresidual, x) }),
        dgamma: scale ? dgamma : emptyGradient(dgamma, out.dgamma),
        dbeta: center ? dbeta : emptyGradient(dbeta, out.dbeta),
      } as Gradients<never>;
    } finally {
      if (!isDone) for (const one of [room, roomForSkip]) one?.dispose();
    }
  }
}

/** The operations for the memory that x lies in. Errors: `UNSUPPORTED`. */
function operationsOn(x: Activation, { host, device }: OperationsByMemory): StagedOperations<Memory> {
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
