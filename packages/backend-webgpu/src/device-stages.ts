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
  type Stages,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type Normalizer, normalizerOf } from '@batchnorm/core-api/float32-range';
import { WebGpuMoments, WebGpuSums, WebGpuVector } from './channel-values.js';
import type { DeviceBuffer } from './device-buffer.js';
import { WebGpuTensor } from './device-tensor.js';
import type { Gpu } from './gpu.js';
import { assertNormalizerHeld, lostChannels } from './held.js';
import type { Passes } from './passes.js';
import type { Recording } from './recording.js';
import { type Kept, SavedForward } from './saved-forward.js';

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

  constructor(backend: Backend, gpu: Gpu, passes: Passes) {
    this.#backend = backend;
    this.#gpu = gpu;
    this.#passes = passes;
    this.fused = {
      forwardTraining: (input) => this.#forwardTraining(input),
      backwardTraining: (input) => this.#backward(input, true),
      backwardInference: (input) => this.#backward(input, false),
    };
  }

  moments({ x, epsilon, mask }: MomentsInput<DeviceMemory>): Promise<WebGpuMoments> {
    return this.#gpu.run((r) => {
      const values = this.#take(x);
      const count = mask?.count ?? valuesPerChannel(this.#passes.extent);
      const uniform = this.#passes.parameters(r, { epsilon, count, mask });
      const table = this.#passes.moments(r, uniform, values, mask && r.once(this.#passes.mask(r, mask)));
      return () => this.#moments(table, count, epsilon);
    });
  }

  normalize(input: NormalizeInput<DeviceMemory>): Promise<ForwardOutput<DeviceMemory>> {
    return this.#gpu.run((r) => this.#normalize(r, input, this.#normalization(r, input)));
  }

  /** By what the host has found to be within float32, for a backward over `count` values. */
  normalizeBy(
    input: ForwardInput<DeviceMemory>,
    by: Normalizer,
    mask: CountedPositions | undefined,
    count: number,
  ): Promise<ForwardOutput<DeviceMemory>> {
    return this.#gpu.run((r) => this.#normalize(r, input, this.#normalizationBy(r, by, mask, count)));
  }

  gradientSums({ saved, dy }: GradientSumsInput<DeviceMemory>): Promise<WebGpuSums> {
    return this.#gpu.run((r) => {
      const { kept } = saved as SavedForward;
      const uniform = this.#parameters(r, kept);
      const table = this.#passes.gradients(r, uniform, kept, this.#take(dy));
      return () => new WebGpuSums(this.#gpu, table, this.#passes.extent.channels);
    });
  }

  inputGradient(input: InputGradientInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#gpu.run((r) => {
      const { kept } = input.saved as SavedForward;
      const { sums, total } = input;
      const own = sums && WebGpuSums.of(sums, this.#gpu).table;
      return this.#gradients(r, kept, input, own && r.keep(own), total && this.#totalTable(r, total));
    });
  }

  #forwardTraining(input: ForwardTrainingInput<DeviceMemory>): Promise<ForwardTrainingOutput<DeviceMemory>> {
    const { x, mask, gamma, beta, epsilon } = input;
    return this.#gpu.run((r) => {
      const count = mask?.count ?? valuesPerChannel(this.#passes.extent);
      const uniform = this.#passes.parameters(r, { epsilon, count, mask });
      const onDevice = mask && this.#passes.mask(r, mask);
      const table = this.#passes.moments(r, uniform, this.#take(x), onDevice);
      const coefficients = this.#passes.coefficientsOfBatch(r, uniform, table, { gamma, beta, epsilon });
      const normalized = this.#normalize(r, input, { uniform, coefficients, mask: onDevice, count });
      const parameters = { gamma: gamma.slice(), beta: beta.slice(), epsilon };
      return () => {
        const moments = this.#moments(table, count, epsilon);
        moments.normalizeWith(parameters);
        return { ...normalized(), moments };
      };
    });
  }

  #backward(input: BackwardInput<DeviceMemory>, throughStatistics: boolean): Promise<BackwardOutput<DeviceMemory>> {
    return this.#gpu.run((r) => {
      const { kept } = input.saved as SavedForward;
      if (!throughStatistics && !input.parameterGradients) return this.#gradients(r, kept, input, undefined, null);
      const dy = this.#take(input.dy);
      const table = this.#passes.gradients(r, this.#parameters(r, kept), kept, dy);
      return this.#gradients(r, kept, input, table, throughStatistics ? table : null);
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
    { uniform, coefficients, mask, count }: Normalization,
  ): () => ForwardOutput<DeviceMemory> {
    const values = this.#take(x);
    const added = residual && this.#take(residual);
    const target = this.#target(r, out, x.shape, values, added ? [added] : []);
    const gate = this.#passes.normalize(r, uniform, { x: values, residual: added, coefficients, y: target.memory });
    target.finish();
    const kept = {
      x: r.keep(values),
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
    kept: Kept,
    {
      dy,
      dx: dxOut,
      dresidual: dresidualOut,
      dgamma,
      dbeta,
    }: GradientBuffers<DeviceMemory> & { readonly dy: DeviceTensor },
    own: DeviceBuffer | undefined,
    total: DeviceBuffer | null,
  ): () => BackwardOutput<DeviceMemory> {
    const upstream = this.#take(dy);
    const { channels } = this.#passes.extent;
    const vectors = {
      dgamma: dgamma && WebGpuVector.of(dgamma, 'dgamma', channels, this.#gpu),
      dbeta: dbeta && WebGpuVector.of(dbeta, 'dbeta', channels, this.#gpu),
    };
    const dx = this.#target(r, dxOut, dy.shape, upstream, total ? [kept.x] : []);
    const dresidual = kept.hasResidual
      ? this.#target(r, dresidualOut, dy.shape, undefined, [kept.x, upstream, dx.memory])
      : undefined;
    this.#passes.inputGradient(r, this.#parameters(r, kept), kept, {
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

  /** The memory of `tensor`. Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  #take(tensor: DeviceTensor): DeviceBuffer {
    return WebGpuTensor.of(tensor, this.#gpu).memory;
  }

  /**
   * Where a result goes: into `out`, or new memory. A shader can't write to a buffer that it reads from, unless it is the
   * same stretch as `over`: then it goes by way of other memory.
   */
  #target(
    r: Recording,
    out: DeviceTensor | undefined,
    shape: readonly number[],
    over: DeviceBuffer | undefined,
    others: readonly DeviceBuffer[],
  ): { readonly memory: DeviceBuffer; finish(): void; tensor(): DeviceTensor } {
    if (out === undefined) {
      const memory = r.result(this.#passes.bytes);
      return {
        memory,
        finish: () => undefined,
        tensor: () => new WebGpuTensor(this.#backend, this.#gpu, memory, shape),
      };
    }
    const memory = this.#take(out);
    const isOver = over !== undefined && memory.buffer === over.buffer && memory.offset === over.offset;
    const isRead = [...others, ...(over && !isOver ? [over] : [])].some(({ buffer }) => buffer === memory.buffer);
    if (!isRead) return { memory, finish: () => undefined, tensor: () => out };
    const apart = r.scratch(this.#passes.bytes);
    return { memory: apart, finish: () => r.copy(apart, memory), tensor: () => out };
  }
}
