// The four operations of one plan: passes on the device; for host arrays, with an upload before and a readback after.
import {
  assertFiniteStatistics,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  BatchNormError,
  type DeviceMemory,
  type Extent,
  type FloatArray,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type HostMemory,
  type Kernels,
  type Memory,
  type Operations,
  type Statistics,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type DeviceArray, isOnHost } from './device-array.js';
import { GpuJsTensor, GpuJsVector, TableValue } from './device-tensor.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import type { GpuContext } from './gpu-context.js';
import { coefficientTable, Passes, parameterGradientsOf, statisticsOf } from './passes.js';
import { fitsBatch, float32Epsilon, normalizerOf, type Parameters } from './range.js';
import {
  channelsBeyondFloat32,
  type ParameterGradients,
  type Redone,
  redoBatch,
  redoGradients,
  redoNormalize,
} from './redo.js';
import { SavedForward } from './saved-forward.js';
import { inScope, type Scope } from './scope.js';

export class GpuJsKernels implements Kernels {
  readonly device: Operations<DeviceMemory>;
  readonly #context: GpuContext;
  readonly #passes: Passes;

  constructor(backend: Backend, context: GpuContext, extent: Extent) {
    const passes = new Passes(context, extent);
    this.#context = context;
    this.#passes = passes;
    this.device = new DeviceOperations(backend, context, passes, this);
    releaseWhenDropped(this, passes);
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): Promise<ForwardTrainingOutput<HostMemory>> {
    const parameters = parametersOf(input);
    return inScope(async (scope) => {
      const passes = this.#passes;
      const x = scope.use(await this.#context.upload(input.x));
      const moments = await passes.moments(x, parameters.epsilon, scope);
      const coefficients = await passes.coefficients(moments, parameters, scope);
      const y = await (await passes.normalize(x, coefficients, scope)).read();
      const statistics = statisticsOf(await moments.read(), passes.extent);
      const redone = await redoBatch(passes.extent, x, parameters, statistics, y);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      const saved = new SavedForward(scope.detach(x), scope.detach(coefficients), redone);
      return { y: copiedInto(input.y, y), saved, statistics };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): Promise<ForwardOutput<HostMemory>> {
    const { extent } = this.#passes;
    const redone = givenStatistics(input, extent);
    return inScope(async (scope) => {
      const coefficients = scope.use(await this.#context.upload(coefficientTable(redone)));
      const x = scope.use(await this.#context.upload(input.x));
      const y = await (await this.#passes.normalize(x, coefficients, scope)).read();
      await redoNormalize(extent, x, redone, y);
      return {
        saved: new SavedForward(scope.detach(x), scope.detach(coefficients), redone),
        y: copiedInto(input.y, y),
      };
    });
  }

  backwardTraining(input: BackwardInput<HostMemory>): Promise<BackwardOutput<HostMemory>> {
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<HostMemory>): Promise<BackwardOutput<HostMemory>> {
    return this.#backward(input, false);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#passes.release();
  }

  #backward(input: BackwardInput<HostMemory>, throughStatistics: boolean): Promise<BackwardOutput<HostMemory>> {
    return inScope(async (scope) => {
      const saved = retainedForward(input.saved, scope);
      const dy = scope.use(await this.#context.upload(input.dy));
      const results = await backward(this.#passes, saved, dy, throughStatistics, wantsSums(input), scope);
      const dx = await results.dx.read();
      const sums = await redoneGradients(this.#passes.extent, saved, dy, throughStatistics, results.gradients, dx);
      const vectors = wantsSums(input) ? input : { dgamma: undefined, dbeta: undefined };
      return {
        dx: copiedInto(input.dx, dx),
        dgamma: copiedInto(vectors.dgamma, sums.dgamma),
        dbeta: copiedInto(vectors.dbeta, sums.dbeta),
      };
    });
  }
}

class DeviceOperations implements Operations<DeviceMemory> {
  /** Kernels free the passes when they are dropped: whoever has these operations needs them alive. */
  readonly kernels: Kernels;
  readonly #backend: Backend;
  readonly #context: GpuContext;
  readonly #passes: Passes;

  constructor(backend: Backend, context: GpuContext, passes: Passes, kernels: Kernels) {
    this.kernels = kernels;
    this.#backend = backend;
    this.#context = context;
    this.#passes = passes;
  }

  async forwardTraining(input: ForwardTrainingInput<DeviceMemory>): Promise<ForwardTrainingOutput<DeviceMemory>> {
    const parameters = parametersOf(input);
    const out = this.#tensor(input.y);
    return inScope(async (scope) => {
      const passes = this.#passes;
      const { extent } = passes;
      const x = this.#retain(input.x, scope);
      const moments = await passes.moments(x, parameters.epsilon, scope);
      const coefficients = await passes.coefficients(moments, parameters, scope);
      const y = await passes.normalize(x, coefficients, scope);
      let read = (table: Float32Array) => usableStatistics(statisticsOf(table, extent), parameters, extent);
      let redone: Redone | undefined;
      if (isOnHost(y.handle)) {
        const { mean, variance } = statisticsOf(await moments.read(), extent);
        redone = await redoBatch(extent, x, parameters, { mean, variance }, y.handle);
        read = () => ({ mean: mean.slice(), variance: variance.slice() });
      }
      const saved = new SavedForward(scope.detach(x), scope.detach(coefficients), redone);
      const statistics = new TableValue(scope.detach(moments), read);
      return { y: this.#tensorOf(scope.detach(y), input.x, out), saved, statistics };
    });
  }

  async forwardInference(input: ForwardInferenceInput<DeviceMemory>): Promise<ForwardOutput<DeviceMemory>> {
    const out = this.#tensor(input.y);
    const { extent } = this.#passes;
    const redone = givenStatistics(input, extent);
    return inScope(async (scope) => {
      const x = this.#retain(input.x, scope);
      const coefficients = scope.use(await this.#context.upload(coefficientTable(redone)));
      const y = await this.#passes.normalize(x, coefficients, scope);
      if (isOnHost(y.handle)) await redoNormalize(extent, x, redone, y.handle);
      const saved = new SavedForward(
        scope.detach(x),
        scope.detach(coefficients),
        isOnHost(y.handle) ? redone : undefined,
      );
      return { y: this.#tensorOf(scope.detach(y), input.x, out), saved };
    });
  }

  backwardTraining(input: BackwardInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, false);
  }

  async #backward(
    input: BackwardInput<DeviceMemory>,
    throughStatistics: boolean,
  ): Promise<BackwardOutput<DeviceMemory>> {
    const { extent } = this.#passes;
    const C = extent.channels;
    const out = this.#tensor(input.dx);
    const given = wantsSums(input)
      ? { dgamma: this.#vector(input.dgamma, 'dgamma'), dbeta: this.#vector(input.dbeta, 'dbeta') }
      : { dgamma: undefined, dbeta: undefined };
    return inScope(async (scope) => {
      const saved = retainedForward(input.saved, scope);
      const dy = scope.retain(GpuJsTensor.of(input.dy, this.#context).array);
      const { dx, gradients } = await backward(this.#passes, saved, dy, throughStatistics, wantsSums(input), scope);
      let read = (table: Float32Array) => parameterGradientsOf(table, C);
      if (gradients === undefined || isOnHost(dx.handle)) {
        const sums = isOnHost(dx.handle)
          ? await redoneGradients(extent, saved, dy, throughStatistics, gradients, dx.handle)
          : zeroSums(C);
        read = () => sums;
      }
      const table = (gradients ?? saved.coefficients).retain();
      const vectors = {
        dgamma: new GpuJsVector(table, C, (numbers) => read(numbers).dgamma.slice()),
        dbeta: new GpuJsVector(table.retain(), C, (numbers) => read(numbers).dbeta.slice()),
      };
      return {
        dx: this.#tensorOf(scope.detach(dx), input.dy, out),
        dgamma: adopted(given.dgamma, vectors.dgamma),
        dbeta: adopted(given.dbeta, vectors.dbeta),
      };
    });
  }

  /** Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  #tensor<T extends DeviceMemory['activation'] | undefined>(tensor: T): GpuJsTensor | Extract<T, undefined> {
    return tensor === undefined ? (undefined as Extract<T, undefined>) : GpuJsTensor.of(tensor, this.#context);
  }

  /** Errors: `INVALID_TENSOR`, `DISPOSED`. */
  #vector(vector: DeviceMemory['vector'] | undefined, name: string): GpuJsVector | undefined {
    const { channels } = this.#passes.extent;
    return vector && GpuJsVector.of(vector, `out.${name}`, channels, this.#context);
  }

  /**
   * A reference of the call's own: meanwhile the tensor may be disposed, dropped, or get another array. Errors:
   * `FOREIGN_TENSOR`, `DISPOSED`.
   */
  #retain(tensor: DeviceMemory['activation'], scope: Scope): DeviceArray {
    return scope.use(GpuJsTensor.of(tensor, this.#context).array.retain());
  }

  #tensorOf(result: DeviceArray, like: DeviceMemory['activation'], out: GpuJsTensor | undefined): GpuJsTensor {
    if (out === undefined) return new GpuJsTensor(this.#backend, result, like.shape);
    out.adopt(result);
    return out;
  }
}

/** What a backward needs of its forward, by references of its own: the saved forward may be disposed meanwhile. */
type RetainedForward = Pick<SavedForward, 'x' | 'coefficients' | 'redone'>;

function retainedForward(saved: BackwardInput<Memory>['saved'], scope: Scope): RetainedForward {
  const { x, coefficients, redone } = saved as SavedForward;
  return { x: scope.retain(x), coefficients: scope.retain(coefficients), redone };
}

/**
 * The results of a backward, on the device; no table of gradients where neither dx nor the caller needs Σ dy and Σ dy ·
 * xHat.
 */
async function backward(
  passes: Passes,
  { x, coefficients }: RetainedForward,
  dy: DeviceArray,
  throughStatistics: boolean,
  sumsWanted: boolean,
  scope: Scope,
): Promise<{ readonly dx: DeviceArray; readonly gradients: DeviceArray | undefined }> {
  const gradients = sumsWanted || throughStatistics ? await passes.gradients(x, dy, coefficients, scope) : undefined;
  const dx =
    throughStatistics && gradients
      ? await passes.inputGradient(x, dy, coefficients, gradients, scope)
      : await passes.scaledGradient(dy, coefficients, scope);
  return { dx, gradients };
}

/** The gradients of the parameters; channels beyond float32 are redone, in them and in `dx`. */
async function redoneGradients(
  extent: Extent,
  { x, redone }: RetainedForward,
  dy: DeviceArray,
  throughStatistics: boolean,
  gradients: DeviceArray | undefined,
  dx: Float32Array,
): Promise<ParameterGradients> {
  const table = await gradients?.read();
  const sums = table === undefined ? zeroSums(extent.channels) : parameterGradientsOf(table, extent.channels);
  if (redone) await redoGradients(extent, x, redone, dy, throughStatistics, table, sums, dx);
  return sums;
}

/** The gradients of the parameters where nobody asks for them. */
function zeroSums(channels: number): ParameterGradients {
  return { dgamma: new Float64Array(channels), dbeta: new Float64Array(channels) };
}

/** Whether the caller asks for Σ dy and Σ dy · xHat. */
function wantsSums({ parameterGradients = true }: BackwardInput<Memory>): boolean {
  return parameterGradients;
}

/** Copies: the caller may change its vectors while the device computes. */
function parametersOf({ gamma, beta, epsilon }: ForwardInput<Memory>): Parameters {
  return { gamma: gamma.slice(), beta: beta.slice(), epsilon };
}

function givenStatistics(input: ForwardInferenceInput<Memory>, extent: Extent): Redone {
  const by = normalizerOf(input, parametersOf(input));
  return { by, channels: channelsBeyondFloat32(extent, by) };
}

/**
 * `statistics`. Errors: `NON_FINITE_STATISTICS` where they are finite, but beyond what kernels normalise by: there y is
 * NaN.
 */
function usableStatistics(statistics: Statistics, parameters: Parameters, extent: Extent): Statistics {
  const asKernels = { ...parameters, epsilon: float32Epsilon(parameters.epsilon) };
  statistics.variance.forEach((variance, c) => {
    if (!Number.isFinite(variance) || fitsBatch(statistics, asKernels, valuesPerChannel(extent), c)) return;
    throw new BatchNormError(
      'NON_FINITE_STATISTICS',
      `received a batch of variance ${variance} in channel ${c}, with gamma ${parameters.gamma[c]} and beta ` +
        `${parameters.beta[c]}, expected what float32 can normalise`,
    );
  });
  return statistics;
}

/** `values`, or the caller's buffer with a copy of them, if there is one. */
function copiedInto<T extends FloatArray>(out: FloatArray | undefined, values: T): T {
  out?.set(values);
  return (out as T | undefined) ?? values;
}

/** `vector`, or the caller's one, which adopts it, if there is one. */
function adopted(given: GpuJsVector | undefined, vector: GpuJsVector): GpuJsVector {
  given?.adopt(vector);
  return given ?? vector;
}
