// The passes over an activation, on the device, for one extent: GPU kernels, one after another. The caller's scope
// releases results.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import type { DeviceArray } from './device-array.js';
import type { CompiledKernel, GpuContext } from './gpu-context.js';
import { float32Epsilon, leastVariance, type Parameters } from './range.js';
import type { ParameterGradients, Redone } from './redo.js';
import type { Scope } from './scope.js';
import { coefficientRows, gradientRows, momentRows, type Sources, sourcesFor } from './sources.js';

type CompiledKernels = Readonly<Record<keyof Sources, CompiledKernel>>;

export class Passes {
  readonly extent: Extent;
  readonly #compiled: CompiledKernels;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(context: GpuContext, extent: Extent) {
    this.extent = extent;
    const compiled: Partial<Record<keyof Sources, CompiledKernel>> = {};
    try {
      for (const [name, source] of Object.entries(sourcesFor(extent, context.traits.threadRows))) {
        compiled[name as keyof Sources] = context.compile(source);
      }
    } catch (error) {
      for (const kernel of Object.values(compiled)) kernel.dispose();
      throw error;
    }
    this.#compiled = compiled as CompiledKernels;
  }

  /** The table of moments of a batch (see `momentRows`). */
  async moments(x: DeviceArray, epsilon: number, scope: Scope): Promise<DeviceArray> {
    const { partialOffsets, pivots, partialMoments, partialMomentsWithoutEpsilon, moments } = this.#compiled;
    const offsets = scope.use(await partialOffsets.run(x, 1));
    const around = scope.use(await pivots.run(offsets, 1));
    const summing = epsilon < leastVariance ? partialMomentsWithoutEpsilon : partialMoments;
    const sums = scope.use(await summing.run(x, around, 1));
    return scope.use(await moments.run(sums, around, 1));
  }

  /** The table of coefficients that normalise a batch by its own moments (see `coefficientRows`). */
  async coefficients(moments: DeviceArray, { gamma, beta, epsilon }: Parameters, scope: Scope): Promise<DeviceArray> {
    const C = this.extent.channels;
    const parameters = new Float32Array(2 * C + 1);
    parameters.set(gamma);
    parameters.set(beta, C);
    parameters[2 * C] = Number.NaN;
    return scope.use(await this.#compiled.coefficients.run(moments, parameters, float32Epsilon(epsilon), 1));
  }

  async normalize(x: DeviceArray, coefficients: DeviceArray, scope: Scope): Promise<DeviceArray> {
    return scope.use(await this.#compiled.normalize.run(x, coefficients));
  }

  /** The table of the sums that gradients are made of (see `gradientRows`). */
  async gradients(x: DeviceArray, dy: DeviceArray, coefficients: DeviceArray, scope: Scope): Promise<DeviceArray> {
    const { partialGradients, gradients } = this.#compiled;
    const sums = scope.use(await partialGradients.run(x, dy, coefficients, 1));
    return scope.use(await gradients.run(sums, coefficients, 1));
  }

  /** dx, through batch statistics. */
  async inputGradient(
    x: DeviceArray,
    dy: DeviceArray,
    coefficients: DeviceArray,
    gradients: DeviceArray,
    scope: Scope,
  ): Promise<DeviceArray> {
    return scope.use(await this.#compiled.inputGradient.run(x, dy, coefficients, gradients));
  }

  /** dx, with constant statistics. */
  async scaledGradient(dy: DeviceArray, coefficients: DeviceArray, scope: Scope): Promise<DeviceArray> {
    return scope.use(await this.#compiled.scaledGradient.run(dy, coefficients));
  }

  release(): void {
    for (const kernel of Object.values(this.#compiled)) kernel.dispose();
  }
}

/** The table of coefficients of given statistics; for channels that are redone it has no use, and NaN. */
export function coefficientTable({ by, channels: redone }: Redone): Float32Array {
  const C = by.mean.length;
  const table = new Float32Array(coefficientRows.length * C);
  for (let c = 0; c < C; c++) {
    const mean = redone.has(c) ? Number.NaN : by.mean[c]!;
    const meanHigh = Math.fround(mean);
    const meanLow = mean - meanHigh;
    const invStd = by.invStd[c]!;
    const scale = redone.has(c) ? Number.NaN : by.gamma[c]! * invStd;
    const rows = [meanHigh, meanLow, invStd, scale, by.beta[c]! - meanLow * scale];
    rows.forEach((value, row) => {
      table[row * C + c] = value;
    });
  }
  return table;
}

/** Mean and population variance of a batch, [C] each in float64, of its table of moments. */
export function statisticsOf(table: Float32Array, extent: Extent): Statistics {
  const C = extent.channels;
  const M = valuesPerChannel(extent);
  const [pivot, sumHigh, sumLow, squaresHigh, squaresLow] = momentRows.map((_, row) => row * C) as FiveRows;
  const [mean, variance] = [new Float64Array(C), new Float64Array(C)];
  for (let c = 0; c < C; c++) {
    const sum = table[sumHigh + c]! + table[sumLow + c]!;
    const squares = table[squaresHigh + c]! + table[squaresLow + c]!;
    mean[c] = table[pivot + c]! + sum / M;
    // A comparison, because a variance that is NaN must stay NaN.
    const M2 = squares - (sum * sum) / M;
    variance[c] = M2 < 0 ? 0 : M2 / M;
  }
  return { mean, variance };
}

/** dgamma and dbeta, of a table of gradients. */
export function parameterGradientsOf(table: Float32Array, channels: number): ParameterGradients {
  const [dbetaHigh, dbetaLow, dgammaRow] = gradientRows.map((_, row) => row * channels) as FiveRows;
  const [dgamma, dbeta] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    dgamma[c] = table[dgammaRow + c]!;
    dbeta[c] = table[dbetaHigh + c]! + table[dbetaLow + c]!;
  }
  return { dgamma, dbeta };
}

/** Where each row of a table begins, in the order of their names. */
type FiveRows = [number, number, number, number, number];
