// The stages on device tensors. No call waits for results; each is recorded at once, and operations of two stages are one
// recording.
import {
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  type CountedPositions,
  type DeviceMemory,
  type DeviceTensor,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientBuffers,
  type GradientSums,
  type GradientSumsInput,
  type InputGradientInput,
  type MomentsInput,
  type NormalizeInput,
  type OnDevice,
  refuse,
  type Stages,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type Normalizer, normalizerOf } from '@batchnorm/core-api/float32-range';
import { WebGpuMoments, WebGpuSums, WebGpuVector } from './channel-values.js';
import { DeviceBuffer } from './device-buffer.js';
import { WebGpuTensor } from './device-tensor.js';
import type { Gpu } from './gpu.js';
import { assertNormalizerHeld, lostChannels } from './held.js';
import type { Passes } from './passes.js';
import type { Recording } from './recording.js';
import { type Kept, SavedForward } from './saved-forward.js';

/** An activation: as it is stored, and in float32. */
interface Taken {
  readonly stored: DeviceBuffer;
  readonly values: DeviceBuffer;
}

/** By what a forward normalises, as far as a recording needs to know. */
interface Normalization {
  readonly uniform: DeviceBuffer;
  readonly coefficients: DeviceBuffer;
  readonly mask: DeviceBuffer | undefined;
  readonly count: number;
}

export class DeviceStages implements Stages<DeviceMemory> {
  readonly fused: NonNullable<Stages<DeviceMemory>['fused']>;
  readonly #backend: Backend;
  readonly #gpu: Gpu;
  readonly #passes: Passes;
  readonly #run: Gpu['run'];

  /** `isAwaited`: the host waits for results, so that no call is recorded into an encoder of the caller. */
  constructor(backend: Backend, gpu: Gpu, passes: Passes, isAwaited: boolean) {
    this.#backend = backend;
    this.#gpu = gpu;
    this.#passes = passes;
    this.#run = isAwaited ? (work) => gpu.runApart(work) : (work) => gpu.run(work);
    this.fused = {
      forwardTraining: (input) => this.#forwardTraining(input),
      backwardTraining: (input) => this.#backward(input, true),
      backwardInference: (input) => this.#backward(input, false),
    };
  }

  moments({ x, epsilon, mask }: MomentsInput<DeviceMemory>): Promise<WebGpuMoments> {
    return this.#run((r) => {
      const count = mask?.count ?? valuesPerChannel(this.#passes.extent);
      const uniform = this.#passes.parameters(r, { epsilon, count, mask });
      const { values } = this.#take(r, uniform, x);
      const table = this.#passes.moments(r, uniform, values, mask && r.once(this.#passes.mask(r, mask)));
      return () => this.#moments(table, count, epsilon);
    });
  }

  normalize(input: NormalizeInput<DeviceMemory>): Promise<ForwardOutput<DeviceMemory>> {
    return this.#run((r) => {
      const by = this.#normalization(r, input);
      return this.#normalize(r, input, this.#take(r, by.uniform, input.x), by);
    });
  }

  /** By what the host has found to be within float32, for a backward over `count` values. */
  normalizeBy(
    input: ForwardInput<DeviceMemory>,
    by: Normalizer,
    mask: CountedPositions | undefined,
    count: number,
  ): Promise<ForwardOutput<DeviceMemory>> {
    return this.#run((r) => {
      const own = this.#normalizationBy(r, by, mask, count);
      return this.#normalize(r, input, this.#take(r, own.uniform, input.x), own);
    });
  }

  gradientSums({ saved, dy }: GradientSumsInput<DeviceMemory>): Promise<WebGpuSums> {
    return this.#run((r) => {
      const { kept } = saved as SavedForward;
      const uniform = this.#parameters(r, kept);
      const values = this.#valuesOf(r, uniform, kept);
      const table = this.#passes.gradients(r, uniform, values, this.#take(r, uniform, dy).values);
      return () => new WebGpuSums(this.#gpu, table, this.#passes.extent.channels);
    });
  }

  inputGradient(input: InputGradientInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#run((r) => {
      const { kept } = input.saved as SavedForward;
      const { sums, total } = input;
      const own = sums && WebGpuSums.of(sums, this.#gpu).table;
      const uniform = this.#parameters(r, kept);
      const [values, dy] = [this.#valuesOf(r, uniform, kept), this.#take(r, uniform, input.dy)];
      const through = total && this.#totalTable(r, total);
      return this.#gradients(r, uniform, values, input, dy, own && r.keep(own), through);
    });
  }

  #forwardTraining(input: ForwardTrainingInput<DeviceMemory>): Promise<ForwardTrainingOutput<DeviceMemory>> {
    const { x, mask, gamma, beta, epsilon } = input;
    return this.#run((r) => {
      const count = mask?.count ?? valuesPerChannel(this.#passes.extent);
      const uniform = this.#passes.parameters(r, { epsilon, count, mask });
      const onDevice = mask && this.#passes.mask(r, mask);
      const taken = this.#take(r, uniform, x);
      const table = this.#passes.moments(r, uniform, taken.values, onDevice);
      const coefficients = this.#passes.coefficientsOfBatch(r, uniform, table, { gamma, beta, epsilon });
      const normalized = this.#normalize(r, input, taken, { uniform, coefficients, mask: onDevice, count });
      const parameters = { gamma: gamma.slice(), beta: beta.slice(), epsilon };
      return () => {
        const moments = this.#moments(table, count, epsilon);
        moments.normalizeWith(parameters);
        return { ...normalized(), moments };
      };
    });
  }

  #backward(input: BackwardInput<DeviceMemory>, throughStatistics: boolean): Promise<BackwardOutput<DeviceMemory>> {
    return this.#run((r) => {
      const { kept } = input.saved as SavedForward;
      const uniform = this.#parameters(r, kept);
      const [values, dy] = [this.#valuesOf(r, uniform, kept), this.#take(r, uniform, input.dy)];
      const isAsked = throughStatistics || input.parameterGradients;
      const table = isAsked ? this.#passes.gradients(r, uniform, values, dy.values) : undefined;
      return this.#gradients(r, uniform, values, input, dy, table, throughStatistics ? table! : null);
    });
  }

  /** By moments on the device, or by what the host has. Errors: `NON_FINITE_STATISTICS`, `FOREIGN_TENSOR`, `DISPOSED`. */
  #normalization(r: Recording, { by, mask, gamma, beta, epsilon }: NormalizeInput<DeviceMemory>): Normalization {
    const parameters = { gamma: gamma.slice(), beta: beta.slice(), epsilon };
    if (by.batch && 'read' in by.batch) {
      const moments = WebGpuMoments.of(by.batch, this.#gpu);
      const { count } = moments;
      const uniform = this.#passes.parameters(r, { epsilon, count });
      const coefficients = this.#passes.coefficientsOfBatch(r, uniform, moments.table, parameters);
      moments.normalizeWith(parameters);
      return { uniform, coefficients, mask: mask && this.#passes.mask(r, mask), count };
    }
    const normalizer = normalizerOf(by.batch ? statisticsOf(by.batch) : by.given, parameters);
    if (by.batch) assertNormalizerHeld(normalizer);
    for (const c of lostChannels(normalizer)) normalizer.invStd[c] = Number.NaN;
    return this.#normalizationBy(r, normalizer, mask, by.batch?.count ?? valuesPerChannel(this.#passes.extent));
  }

  #normalizationBy(r: Recording, by: Normalizer, mask: CountedPositions | undefined, count: number): Normalization {
    return {
      uniform: this.#passes.parameters(r, { epsilon: 1, count }),
      coefficients: this.#passes.coefficientsOf(r, by),
      mask: mask && this.#passes.mask(r, mask),
      count,
    };
  }

  #normalize(
    r: Recording,
    { x, residual, y: out }: ForwardInput<DeviceMemory>,
    { stored, values }: Taken,
    { uniform, coefficients, mask, count }: Normalization,
  ): () => ForwardOutput<DeviceMemory> {
    const added = residual && this.#take(r, uniform, residual).values;
    assertApart('out', out, { x, residual }, this.#gpu);
    const target = this.#target(r, uniform, out, x.shape, values, added ? [added] : []);
    const gate = this.#passes.normalize(r, uniform, { x: values, residual: added, coefficients, y: target.memory });
    target.finish();
    const kept = {
      x: r.keep(stored),
      coefficients,
      gate,
      mask,
      count,
      hasResidual: residual !== undefined,
    };
    return () => ({ y: target.tensor(), saved: new SavedForward(kept) });
  }

  /** dx and dresidual, with the gradients of parameters that `own` has, to which it has the reference. */
  #gradients(
    r: Recording,
    uniform: DeviceBuffer,
    kept: Kept,
    {
      dy,
      dx: dxOut,
      dresidual: dresidualOut,
      dgamma,
      dbeta,
    }: GradientBuffers<DeviceMemory> & { readonly dy: DeviceTensor },
    { values: upstream }: Taken,
    own: DeviceBuffer | undefined,
    total: DeviceBuffer | null,
  ): () => BackwardOutput<DeviceMemory> {
    const { channels } = this.#passes.extent;
    const vectors = {
      dgamma: dgamma && WebGpuVector.of(dgamma, 'dgamma', channels, this.#gpu),
      dbeta: dbeta && WebGpuVector.of(dbeta, 'dbeta', channels, this.#gpu),
    };
    assertApart('out.dx', dxOut, { x: kept.x, 'out.dresidual': dresidualOut }, this.#gpu);
    assertApart('out.dresidual', dresidualOut, { x: kept.x }, this.#gpu);
    const dx = this.#target(r, uniform, dxOut, dy.shape, upstream, total ? [kept.x] : []);
    const dresidual = kept.hasResidual
      ? this.#target(r, uniform, dresidualOut, dy.shape, undefined, [kept.x, upstream, dx.memory])
      : undefined;
    this.#passes.inputGradient(r, uniform, kept, {
      dy: upstream,
      gradients: total ?? undefined,
      dx: dx.memory,
      dresidual: dresidual?.memory,
    });
    dx.finish();
    dresidual?.finish();
    const table = own ?? this.#passes.anyGradients(r);
    r.keep(table);
    const vector = (name: keyof GradientSums) =>
      vectors[name]?.receive(table, name) ?? new WebGpuVector(this.#gpu, table, channels, name);
    return () => ({
      dx: dx.tensor(),
      ...(dresidual && { dresidual: dresidual.tensor() }),
      dgamma: vector('dgamma'),
      dbeta: vector('dbeta'),
    });
  }

  #moments(table: DeviceBuffer, count: number, epsilon: number): WebGpuMoments {
    return new WebGpuMoments(this.#gpu, table, this.#passes.extent.channels, count, epsilon);
  }

  #parameters(r: Recording, { count }: Kept): DeviceBuffer {
    return this.#passes.parameters(r, { epsilon: 1, count });
  }

  #totalTable(r: Recording, total: OnDevice<GradientSums> | GradientSums): DeviceBuffer {
    if ('read' in total) return WebGpuSums.of(total, this.#gpu).table;
    return this.#passes.gradientsOf(r, total);
  }

  /** Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  #take(r: Recording, uniform: DeviceBuffer, tensor: DeviceTensor): Taken {
    const stored = WebGpuTensor.of(tensor, this.#gpu).memory;
    return { stored, values: this.#isStoredApart ? this.#passes.decoded(r, uniform, stored) : stored };
  }

  /** What a forward kept, with x in float32. */
  #valuesOf(r: Recording, uniform: DeviceBuffer, kept: Kept): Kept {
    return this.#isStoredApart ? { ...kept, x: this.#passes.decoded(r, uniform, kept.x) } : kept;
  }

  /** Whether activations are stored in another form than that which is computed with. */
  get #isStoredApart(): boolean {
    return this.#passes.dtype === 'float16';
  }

  /**
   * Where a result goes: into `out`, or new memory. A shader can't write to a buffer that it reads from, unless it is the
   * same stretch as `over`: then it goes by way of other memory, as does what is stored in another form.
   */
  #target(
    r: Recording,
    uniform: DeviceBuffer,
    out: DeviceTensor | undefined,
    shape: readonly number[],
    over: DeviceBuffer | undefined,
    others: readonly DeviceBuffer[],
  ): { readonly memory: DeviceBuffer; finish(): void; tensor(): DeviceTensor } {
    const stored = out ? WebGpuTensor.of(out, this.#gpu).memory : r.result(this.#passes.storedBytes);
    const tensor = () => out ?? new WebGpuTensor(this.#backend, this.#gpu, stored, shape, this.#passes.dtype);
    if (this.#isStoredApart) {
      const apart = r.scratch(this.#passes.bytes);
      return { memory: apart, finish: () => this.#passes.encode(r, uniform, apart, stored), tensor };
    }
    const isOver = over !== undefined && stored.buffer === over.buffer && stored.offset === over.offset;
    const isRead = [...others, ...(over && !isOver ? [over] : [])].some(({ buffer }) => buffer === stored.buffer);
    if (!isRead) return { memory: stored, finish: () => undefined, tensor };
    const apart = r.scratch(this.#passes.bytes);
    return { memory: apart, finish: () => r.copy(apart, stored), tensor };
  }
}

/**
 * Errors: `INVALID_TENSOR` where `out` shares memory with an operand that must stay as it is. Of tensors that are the same
 * object layers know already; wrapped ones may be others, and lie in one buffer all the same.
 */
function assertApart(
  what: string,
  out: DeviceTensor | undefined,
  operands: Readonly<Record<string, DeviceTensor | DeviceBuffer | undefined>>,
  gpu: Gpu,
): void {
  if (out === undefined) return;
  const { memory } = WebGpuTensor.of(out, gpu);
  for (const [name, operand] of Object.entries(operands)) {
    if (operand === undefined || operand === out) continue;
    const other = operand instanceof DeviceBuffer ? operand : WebGpuTensor.of(operand, gpu).memory;
    const isShared =
      other.buffer === memory.buffer &&
      other !== memory &&
      other.offset < memory.offset + memory.bytes &&
      memory.offset < other.offset + other.bytes;
    if (isShared) refuse('INVALID_TENSOR', `${what} that shares memory with ${name}`, 'memory of its own');
  }
}
