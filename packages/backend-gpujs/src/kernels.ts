// The four operations, as kernels on the device; with host memory, an upload before and a readback after.
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
import { coefficientTable, DeviceArithmetic, parameterGradientsOf, statisticsOf } from './arithmetic.js';
import { GpuJsTensor, GpuJsVector, TableValue } from './device-tensor.js';
import type { Engine } from './engine.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import { fitsBatch, float32Epsilon, normalizerOf, type Parameters } from './range.js';
import { misfits, type OnHost, type ParameterGradients, redoBatch, redoGradients, redoNormalize } from './redo.js';
import { isOnHost, type Resident } from './resident.js';
import { SavedForward } from './saved-forward.js';
import { inScope, type Scope } from './scope.js';

export class GpuJsKernels implements Kernels {
  readonly device: Operations<DeviceMemory>;
  readonly #engine: Engine;
  readonly #arithmetic: DeviceArithmetic;

  constructor(backend: Backend, engine: Engine, extent: Extent) {
    const arithmetic = new DeviceArithmetic(engine, extent);
    this.#engine = engine;
    this.#arithmetic = arithmetic;
    this.device = new DeviceOperations(backend, engine, arithmetic, this);
    releaseWhenDropped(this, arithmetic);
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): Promise<ForwardTrainingOutput<HostMemory>> {
    const parameters = parametersOf(input);
    return inScope(async (scope) => {
      const arithmetic = this.#arithmetic;
      const x = scope.hold(await this.#upload(input.x));
      const moments = await arithmetic.moments(x, parameters.epsilon, scope);
      const coefficients = await arithmetic.coefficients(moments, parameters, scope);
      const y = await (await arithmetic.normalize(x, coefficients, scope)).read();
      const statistics = statisticsOf(await moments.read(), arithmetic.extent);
      const onHost = await redoBatch(arithmetic.extent, x, parameters, statistics, y);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      const saved = new SavedForward(scope.give(x), scope.give(coefficients), onHost);
      return { y: deliver(y, input.y), saved, statistics };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): Promise<ForwardOutput<HostMemory>> {
    const { extent } = this.#arithmetic;
    const onHost = givenStatistics(input, extent);
    return inScope(async (scope) => {
      const coefficients = scope.hold(await this.#engine.upload(coefficientTable(onHost.by, onHost.redone)));
      const x = scope.hold(await this.#upload(input.x));
      const y = await (await this.#arithmetic.normalize(x, coefficients, scope)).read();
      await redoNormalize(extent, x, onHost, y);
      return { saved: new SavedForward(scope.give(x), scope.give(coefficients), onHost), y: deliver(y, input.y) };
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
    this.#arithmetic.release();
  }

  #backward(input: BackwardInput<HostMemory>, throughStatistics: boolean): Promise<BackwardOutput<HostMemory>> {
    return inScope(async (scope) => {
      const saved = heldForward(input.saved, scope);
      const dy = scope.hold(await this.#upload(input.dy));
      const results = await backward(this.#arithmetic, saved, dy, throughStatistics, wantsSums(input), scope);
      const dx = await results.dx.read();
      const sums = await mended(this.#arithmetic.extent, saved, dy, throughStatistics, results.gradients, dx);
      const vectors = wantsSums(input) ? input : { dgamma: undefined, dbeta: undefined };
      return {
        dx: deliver(dx, input.dx),
        dgamma: deliver(sums.dgamma, vectors.dgamma),
        dbeta: deliver(sums.dbeta, vectors.dbeta),
      };
    });
  }

  #upload(values: FloatArray): Promise<Resident> {
    return this.#engine.upload(values as Float32Array);
  }
}

class DeviceOperations implements Operations<DeviceMemory> {
  /** Whoever has these, has those: they are freed when nobody has them. */
  readonly kernels: Kernels;
  readonly #backend: Backend;
  readonly #engine: Engine;
  readonly #arithmetic: DeviceArithmetic;

  constructor(backend: Backend, engine: Engine, arithmetic: DeviceArithmetic, kernels: Kernels) {
    this.kernels = kernels;
    this.#backend = backend;
    this.#engine = engine;
    this.#arithmetic = arithmetic;
  }

  async forwardTraining(input: ForwardTrainingInput<DeviceMemory>): Promise<ForwardTrainingOutput<DeviceMemory>> {
    const parameters = parametersOf(input);
    const out = this.#tensor(input.y);
    return inScope(async (scope) => {
      const arithmetic = this.#arithmetic;
      const { extent } = arithmetic;
      const x = this.#hold(input.x, scope);
      const moments = await arithmetic.moments(x, parameters.epsilon, scope);
      const coefficients = await arithmetic.coefficients(moments, parameters, scope);
      const y = await arithmetic.normalize(x, coefficients, scope);
      let read = (table: Float32Array) => usableStatistics(statisticsOf(table, extent), parameters, extent);
      let onHost: OnHost | undefined;
      if (isOnHost(y.handle)) {
        const { mean, variance } = statisticsOf(await moments.read(), extent);
        onHost = await redoBatch(extent, x, parameters, { mean, variance }, y.handle);
        read = () => ({ mean: mean.slice(), variance: variance.slice() });
      }
      const saved = new SavedForward(scope.give(x), scope.give(coefficients), onHost);
      const statistics = new TableValue(scope.give(moments), read);
      return { y: this.#deliver(scope.give(y), input.x, out), saved, statistics };
    });
  }

  async forwardInference(input: ForwardInferenceInput<DeviceMemory>): Promise<ForwardOutput<DeviceMemory>> {
    const out = this.#tensor(input.y);
    const { extent } = this.#arithmetic;
    const onHost = givenStatistics(input, extent);
    return inScope(async (scope) => {
      const x = this.#hold(input.x, scope);
      const coefficients = scope.hold(await this.#engine.upload(coefficientTable(onHost.by, onHost.redone)));
      const y = await this.#arithmetic.normalize(x, coefficients, scope);
      if (isOnHost(y.handle)) await redoNormalize(extent, x, onHost, y.handle);
      const saved = new SavedForward(scope.give(x), scope.give(coefficients), isOnHost(y.handle) ? onHost : undefined);
      return { y: this.#deliver(scope.give(y), input.x, out), saved };
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
    const { extent } = this.#arithmetic;
    const C = extent.channels;
    const out = this.#tensor(input.dx);
    const given = wantsSums(input)
      ? { dgamma: this.#vector(input.dgamma, 'dgamma'), dbeta: this.#vector(input.dbeta, 'dbeta') }
      : { dgamma: undefined, dbeta: undefined };
    return inScope(async (scope) => {
      const saved = heldForward(input.saved, scope);
      const dy = scope.share(GpuJsTensor.of(input.dy, this.#engine).resident);
      const { dx, gradients } = await backward(this.#arithmetic, saved, dy, throughStatistics, wantsSums(input), scope);
      let read = (table: Float32Array) => parameterGradientsOf(table, C);
      if (gradients === undefined || isOnHost(dx.handle)) {
        const sums = isOnHost(dx.handle)
          ? await mended(extent, saved, dy, throughStatistics, gradients, dx.handle)
          : zeroSums(C);
        read = () => sums;
      }
      const table = (gradients ?? saved.coefficients).share();
      const vectors = {
        dgamma: new GpuJsVector(table, C, (numbers) => read(numbers).dgamma.slice()),
        dbeta: new GpuJsVector(table.share(), C, (numbers) => read(numbers).dbeta.slice()),
      };
      return {
        dx: this.#deliver(scope.give(dx), input.dy, out),
        dgamma: adopted(given.dgamma, vectors.dgamma),
        dbeta: adopted(given.dbeta, vectors.dbeta),
      };
    });
  }

  /** Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  #tensor<T extends DeviceMemory['activation'] | undefined>(tensor: T): GpuJsTensor | Extract<T, undefined> {
    return tensor === undefined ? (undefined as Extract<T, undefined>) : GpuJsTensor.of(tensor, this.#engine);
  }

  /** Errors: `INVALID_TENSOR`, `DISPOSED`. */
  #vector(vector: DeviceMemory['vector'] | undefined, name: string): GpuJsVector | undefined {
    const { channels } = this.#arithmetic.extent;
    return vector && GpuJsVector.of(vector, `out.${name}`, channels, this.#engine);
  }

  /** The call's own hold: its tensor may be disposed, dropped, or take over other memory. Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  #hold(tensor: DeviceMemory['activation'], scope: Scope): Resident {
    return scope.hold(GpuJsTensor.of(tensor, this.#engine).resident.share());
  }

  #deliver(result: Resident, like: DeviceMemory['activation'], out: GpuJsTensor | undefined): GpuJsTensor {
    if (out === undefined) return new GpuJsTensor(this.#backend, result, like.shape);
    out.adopt(result);
    return out;
  }
}

/** What a backward knows of its forward, with holds of its own: who has the forward may let go of it meanwhile. */
type HeldForward = Pick<SavedForward, 'x' | 'coefficients' | 'onHost'>;

function heldForward(saved: BackwardInput<Memory>['saved'], scope: Scope): HeldForward {
  const { x, coefficients, onHost } = saved as SavedForward;
  return { x: scope.share(x), coefficients: scope.share(coefficients), onHost };
}

/** The results of a backward, on the device; no gradients where nobody wants sums that dx does not need. */
async function backward(
  arithmetic: DeviceArithmetic,
  { x, coefficients }: HeldForward,
  dy: Resident,
  throughStatistics: boolean,
  wanted: boolean,
  scope: Scope,
): Promise<{ readonly dx: Resident; readonly gradients: Resident | undefined }> {
  const gradients = wanted || throughStatistics ? await arithmetic.gradients(x, dy, coefficients, scope) : undefined;
  const dx =
    throughStatistics && gradients
      ? await arithmetic.inputGradient(x, dy, coefficients, gradients, scope)
      : await arithmetic.scaledGradient(dy, coefficients, scope);
  return { dx, gradients };
}

/** The parameters' gradients; what float32 had no room for is mended in them and in `dx`. */
async function mended(
  extent: Extent,
  { x, onHost }: HeldForward,
  dy: Resident,
  throughStatistics: boolean,
  gradients: Resident | undefined,
  dx: Float32Array,
): Promise<ParameterGradients> {
  const table = await gradients?.read();
  const sums = table === undefined ? zeroSums(extent.channels) : parameterGradientsOf(table, extent.channels);
  if (onHost) await redoGradients(extent, x, onHost, dy, throughStatistics, table, sums, dx);
  return sums;
}

/** What is there where nobody asks. */
function zeroSums(channels: number): ParameterGradients {
  return { dgamma: new Float64Array(channels), dbeta: new Float64Array(channels) };
}

/** Whether Σ dy and Σ dy · xHat are asked for. */
function wantsSums({ parameterGradients = true }: BackwardInput<Memory>): boolean {
  return parameterGradients;
}

/** As they are now: whose they are may change them while the device computes. */
function parametersOf({ gamma, beta, epsilon }: ForwardInput<Memory>): Parameters {
  return { gamma: gamma.slice(), beta: beta.slice(), epsilon };
}

function givenStatistics(input: ForwardInferenceInput<Memory>, extent: Extent): OnHost {
  const by = normalizerOf(input, parametersOf(input));
  return { by, redone: misfits(extent, by) };
}

/** Errors: `NON_FINITE_STATISTICS` where y is NaN, because the kernels could not normalise by statistics that are finite. */
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

/** Puts results into the caller's buffer, if there is one. */
function deliver<T extends FloatArray>(values: T, out: FloatArray | undefined): T {
  out?.set(values);
  return (out as T | undefined) ?? values;
}

/** Gives `given` what `vector` has, if it is given. */
function adopted(given: GpuJsVector | undefined, vector: GpuJsVector): GpuJsVector {
  given?.adopt(vector);
  return given ?? vector;
}
