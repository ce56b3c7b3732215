// The four operations, as kernels on the device; with host memory, an upload before and a readback after.
import {
  assertFiniteStatistics,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  type DeviceMemory,
  type Extent,
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
import { GpuJsTensor, onDevice } from './device-tensor.js';
import type { Engine, Program } from './engine.js';
import type { Resident } from './resident.js';
import { SavedForward } from './saved-forward.js';
import { coefficientRows, gradientRows, momentRows, type Sources, sourcesFor } from './sources.js';

type Programs = Readonly<Record<keyof Sources, Program>>;

/** dx and the table of parameter gradients, on the device. */
interface Backward {
  readonly dx: Resident;
  readonly gradients: Resident;
}

/** The arithmetic on the device, for one extent. Results belong to the caller; x and dy stay the caller's. */
class DeviceArithmetic {
  readonly extent: Extent;
  readonly #engine: Engine;
  readonly #programs: Programs;

  constructor(engine: Engine, extent: Extent) {
    this.extent = extent;
    this.#engine = engine;
    const sources = Object.entries(sourcesFor(extent, engine.traits.threadRows));
    this.#programs = Object.fromEntries(sources.map(([name, source]) => [name, engine.compile(source)])) as Programs;
  }

  /** The table of moments of a batch. */
  async moments(x: Resident): Promise<Resident> {
    const { partialOffsets, pivots, partialMoments, moments } = this.#programs;
    const offsets = await partialOffsets.run(x, 1);
    const around = await pivots.run(offsets, 1);
    offsets.release();
    const sums = await partialMoments.run(x, around, 1);
    const result = await moments.run(sums, around, 1);
    for (const resident of [sums, around]) resident.release();
    return result;
  }

  /** The table of coefficients by which a batch's own moments normalise it. */
  coefficientsOf(moments: Resident, parameters: Float32Array, epsilon: number): Promise<Resident> {
    return this.#programs.coefficients.run(moments, parameters, epsilon, 1);
  }

  /** The same of given statistics, computed on the host in float64. */
  coefficientsFor({ gamma, beta, epsilon, mean, variance }: ForwardInferenceInput<Memory>): Promise<Resident> {
    const C = this.extent.channels;
    const table = new Float32Array(coefficientRows.length * C);
    for (let c = 0; c < C; c++) {
      const meanHigh = Math.fround(mean[c]!);
      const meanLow = mean[c]! - meanHigh;
      const invStd = 1 / Math.sqrt(variance[c]! + epsilon);
      const scale = gamma[c]! * invStd;
      const rows = [meanHigh, meanLow, invStd, scale, beta[c]! - meanLow * scale];
      rows.forEach((value, row) => {
        table[row * C + c] = value;
      });
    }
    return this.#engine.upload(table);
  }

  normalize(x: Resident, coefficients: Resident): Promise<Resident> {
    return this.#programs.normalize.run(x, coefficients);
  }

  async backward({ x, coefficients }: SavedForward, dy: Resident, throughStatistics: boolean): Promise<Backward> {
    const { partialGradients, gradients, inputGradient, scaledGradient } = this.#programs;
    const sums = await partialGradients.run(x, dy, coefficients, 1);
    const table = await gradients.run(sums, coefficients, 1);
    sums.release();
    const dx = throughStatistics
      ? await inputGradient.run(x, dy, coefficients, table)
      : await scaledGradient.run(dy, coefficients);
    return { dx, gradients: table };
  }

  dispose(): void {
    for (const program of Object.values(this.#programs)) program.dispose();
  }
}

export class GpuJsKernels implements Kernels {
  readonly device: Operations<DeviceMemory>;
  readonly #engine: Engine;
  readonly #arithmetic: DeviceArithmetic;

  constructor(backend: Backend, engine: Engine, extent: Extent) {
    this.#engine = engine;
    this.#arithmetic = new DeviceArithmetic(engine, extent);
    this.device = new DeviceOperations(backend, this.#arithmetic);
  }

  async forwardTraining(input: ForwardTrainingInput<HostMemory>): Promise<ForwardTrainingOutput<HostMemory>> {
    const parameters = parametersOf(input);
    const x = await this.#upload(input.x);
    const moments = await this.#arithmetic.moments(x);
    const saved = new SavedForward(x, await this.#arithmetic.coefficientsOf(moments, parameters, input.epsilon));
    const y = await this.#arithmetic.normalize(x, saved.coefficients);
    const statistics = statisticsOf(await moments.read(), this.#arithmetic.extent);
    moments.release();
    try {
      if (input.requireFinite) assertFiniteStatistics(statistics);
    } catch (error) {
      y.release();
      saved.dispose();
      throw error;
    }
    return { y: await toHost(y, input.y), saved, statistics };
  }

  async forwardInference(input: ForwardInferenceInput<HostMemory>): Promise<ForwardOutput<HostMemory>> {
    const coefficients = await this.#arithmetic.coefficientsFor(input);
    const saved = new SavedForward(await this.#upload(input.x), coefficients);
    const y = await this.#arithmetic.normalize(saved.x, coefficients);
    return { y: await toHost(y, input.y), saved };
  }

  backwardTraining(input: BackwardInput<HostMemory>): Promise<BackwardOutput<HostMemory>> {
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<HostMemory>): Promise<BackwardOutput<HostMemory>> {
    return this.#backward(input, false);
  }

  dispose(): void {
    this.#arithmetic.dispose();
  }

  async #backward(input: BackwardInput<HostMemory>, throughStatistics: boolean): Promise<BackwardOutput<HostMemory>> {
    const dy = await this.#upload(input.dy);
    const { dx, gradients } = await this.#arithmetic.backward(input.saved as SavedForward, dy, throughStatistics);
    dy.release();
    const table = await gradients.read();
    gradients.release();
    const result = await toHost(dx, input.dx);
    const { dgamma = new Float64Array(this.#channels), dbeta = new Float64Array(this.#channels) } = input;
    dgamma.set(dgammaOf(table, this.#channels));
    dbeta.set(dbetaOf(table, this.#channels));
    return { dx: result, dgamma, dbeta };
  }

  get #channels(): number {
    return this.#arithmetic.extent.channels;
  }

  #upload(values: HostMemory['activation']): Promise<Resident> {
    return this.#engine.upload(values as Float32Array);
  }
}

class DeviceOperations implements Operations<DeviceMemory> {
  readonly #backend: Backend;
  readonly #arithmetic: DeviceArithmetic;

  constructor(backend: Backend, arithmetic: DeviceArithmetic) {
    this.#backend = backend;
    this.#arithmetic = arithmetic;
  }

  async forwardTraining(input: ForwardTrainingInput<DeviceMemory>): Promise<ForwardTrainingOutput<DeviceMemory>> {
    const { extent } = this.#arithmetic;
    const parameters = parametersOf(input);
    const moments = await this.#arithmetic.moments(residentOf(input.x));
    const coefficients = await this.#arithmetic.coefficientsOf(moments, parameters, input.epsilon);
    const statistics = onDevice([moments], (table) => statisticsOf(table, extent));
    return { ...(await this.#normalize(input, coefficients)), statistics };
  }

  async forwardInference(input: ForwardInferenceInput<DeviceMemory>): Promise<ForwardOutput<DeviceMemory>> {
    return this.#normalize(input, await this.#arithmetic.coefficientsFor(input));
  }

  backwardTraining(input: BackwardInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<DeviceMemory>): Promise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, false);
  }

  async #normalize(input: ForwardInput<DeviceMemory>, coefficients: Resident): Promise<ForwardOutput<DeviceMemory>> {
    // The forward's own hold on x: its tensor may take over other memory.
    const x = residentOf(input.x).share();
    const y = await this.#arithmetic.normalize(x, coefficients);
    return { y: this.#deliver(y, input.x, input.y), saved: new SavedForward(x, coefficients) };
  }

  async #backward(
    input: BackwardInput<DeviceMemory>,
    throughStatistics: boolean,
  ): Promise<BackwardOutput<DeviceMemory>> {
    const C = this.#arithmetic.extent.channels;
    const { dx, gradients } = await this.#arithmetic.backward(
      input.saved as SavedForward,
      residentOf(input.dy),
      throughStatistics,
    );
    for (const given of [input.dgamma, input.dbeta]) given?.dispose();
    return {
      dx: this.#deliver(dx, input.dy, input.dx),
      dgamma: onDevice([gradients], (table) => dgammaOf(table, C)),
      dbeta: onDevice([gradients.share()], (table) => dbetaOf(table, C)),
    };
  }

  #deliver(
    result: Resident,
    like: DeviceMemory['activation'],
    out: DeviceMemory['activation'] | undefined,
  ): DeviceMemory['activation'] {
    if (out === undefined) return new GpuJsTensor(this.#backend, result, like.shape);
    (out as GpuJsTensor).adopt(result);
    return out;
  }
}

/** gamma, then beta, as they are now: whose they are may change them while the device computes. */
function parametersOf({ gamma, beta }: ForwardInput<Memory>): Float32Array {
  const parameters = new Float32Array(gamma.length + beta.length);
  parameters.set(gamma);
  parameters.set(beta, gamma.length);
  return parameters;
}

function residentOf(tensor: DeviceMemory['activation']): Resident {
  return (tensor as GpuJsTensor).resident;
}

/** Reads a result into the caller's buffer, or into a new one, and releases it. */
async function toHost(result: Resident, out: HostMemory['activation'] | undefined): Promise<HostMemory['activation']> {
  const values = await result.read();
  result.release();
  if (out === undefined) return values;
  out.set(values);
  return out;
}

/** Row `name` of a table. */
function rowReader(table: Float32Array, rows: readonly string[], channels: number) {
  return (name: string, c: number): number => table[rows.indexOf(name) * channels + c]!;
}

/** Mean and population variance in float64, of sums around the pivot. */
function statisticsOf(table: Float32Array, extent: Extent): Statistics {
  const C = extent.channels;
  const M = valuesPerChannel(extent);
  const row = rowReader(table, momentRows, C);
  const [mean, variance] = [new Float64Array(C), new Float64Array(C)];
  for (let c = 0; c < C; c++) {
    const sum = row('sumHigh', c) + row('sumLow', c);
    const squares = row('squaresHigh', c) + row('squaresLow', c);
    mean[c] = row('pivot', c) + sum / M;
    // Never Math.max(0, …) of NaN into a number: a variance that is not finite must be seen.
    const M2 = squares - (sum * sum) / M;
    variance[c] = M2 < 0 ? 0 : M2 / M;
  }
  return { mean, variance };
}

function dgammaOf(table: Float32Array, channels: number): Float64Array {
  const row = rowReader(table, gradientRows, channels);
  return Float64Array.from({ length: channels }, (_, c) => row('dgamma', c));
}

function dbetaOf(table: Float32Array, channels: number): Float64Array {
  const row = rowReader(table, gradientRows, channels);
  return Float64Array.from({ length: channels }, (_, c) => row('dbetaHigh', c) + row('dbetaLow', c));
}
