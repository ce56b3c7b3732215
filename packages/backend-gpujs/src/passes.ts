// The passes over an activation, on the device, for one extent: GPU kernels, one after another. The caller's scope
// releases results.
import type { Extent, GradientSums, Moments, Nonlinearity, Plan } from '@batchnorm/core-api';
import { float32Epsilon, leastVariance, type Parameters } from '@batchnorm/core-api/float32-range';
import type { DeviceArray } from './device-array.js';
import { type DeviceMask, firstCounted } from './device-mask.js';
import type { Summands } from './float64-channel.js';
import type { CompiledKernel, GpuContext } from './gpu-context.js';
import type { Redone } from './redo.js';
import type { Forward } from './saved-forward.js';
import type { Scope } from './scope.js';
import { coefficientRows, gradientRows, momentRows, type Sources, sourcesFor, totalRows } from './sources.js';

type CompiledKernels = Readonly<Record<keyof Sources, CompiledKernel>>;

export class Passes {
  readonly extent: Extent;
  readonly activation: Nonlinearity;
  readonly #context: GpuContext;
  readonly #compiled: CompiledKernels;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(context: GpuContext, { extent, activation = 'none' }: Plan) {
    this.extent = extent;
    this.activation = activation;
    this.#context = context;
    const compiled: Partial<Record<keyof Sources, CompiledKernel>> = {};
    try {
      for (const [name, source] of Object.entries(sourcesFor(extent, activation, context.traits.threadRows))) {
        compiled[name as keyof Sources] = context.compile(source);
      }
    } catch (error) {
      for (const kernel of Object.values(compiled)) kernel.dispose();
      throw error;
    }
    this.#compiled = compiled as CompiledKernels;
  }

  /** The table of moments of a batch, of those values that count (see `momentRows`). */
  async moments(x: DeviceArray, epsilon: number, mask: DeviceMask | undefined, scope: Scope): Promise<DeviceArray> {
    if (mask) return this.#maskedMoments(x, epsilon, mask, scope);
    const { partialOffsets, pivots, partialMoments, partialMomentsWithoutEpsilon, moments } = this.#compiled;
    const offsets = scope.use(await partialOffsets.run(x, 1));
    const around = scope.use(await pivots.run(offsets, 1));
    const summing = epsilon < leastVariance ? partialMomentsWithoutEpsilon : partialMoments;
    const sums = scope.use(await summing.run(x, around, 1));
    return scope.use(await moments.run(sums, around, 1));
  }

  async #maskedMoments(x: DeviceArray, epsilon: number, mask: DeviceMask, scope: Scope): Promise<DeviceArray> {
    const { maskedOffsets, maskedPivots, maskedMoments, maskedMomentsWithoutEpsilon, moments } = this.#compiled;
    const { array, count } = mask;
    const offsets = scope.use(await maskedOffsets.run(x, array, firstCounted(mask, this.extent), 1));
    const around = scope.use(await maskedPivots.run(offsets, 1 / count, 1));
    const summing = epsilon < leastVariance ? maskedMomentsWithoutEpsilon : maskedMoments;
    const sums = scope.use(await summing.run(x, array, around, 1));
    return scope.use(await moments.run(sums, around, 1));
  }

  /** The table of coefficients that normalise by a table of moments, of M values (see `coefficientRows`). */
  async coefficients(
    moments: DeviceArray,
    M: number,
    { gamma, beta, epsilon }: Parameters,
    scope: Scope,
  ): Promise<DeviceArray> {
    const C = this.extent.channels;
    const parameters = new Float32Array(2 * C + 1);
    parameters.set(gamma);
    parameters.set(beta, C);
    parameters[2 * C] = Number.NaN;
    const { coefficients } = this.#compiled;
    return scope.use(await coefficients.run(moments, parameters, float32Epsilon(epsilon), 1 / M, 1));
  }

  /** The table of coefficients that the host gives; for channels that are redone it has no use, and NaN. */
  async givenCoefficients(given: Redone, scope: Scope): Promise<DeviceArray> {
    return scope.use(await this.#context.upload(coefficientTable(given)));
  }

  async normalize(
    { x, residual }: Summands<DeviceArray>,
    coefficients: DeviceArray,
    scope: Scope,
  ): Promise<DeviceArray> {
    const { normalize, normalizeWithResidual } = this.#compiled;
    const zero = this.activation === 'relu' ? [0] : [];
    return scope.use(
      residual
        ? await normalizeWithResidual.run(x, coefficients, residual, ...zero)
        : await normalize.run(x, coefficients, ...zero),
    );
  }

  /** dy behind 'relu': by the y of the forward, where that is kept, and else by the same z. */
  async upstream({ x, residual, y, coefficients }: Forward, dy: DeviceArray, scope: Scope): Promise<DeviceArray> {
    const { upstreamByResult, upstream, upstreamWithResidual } = this.#compiled;
    if (y) return scope.use(await upstreamByResult.run(y, dy));
    return scope.use(
      residual
        ? await upstreamWithResidual.run(x, coefficients, residual, dy)
        : await upstream.run(x, coefficients, dy),
    );
  }

  /** The table of the sums that gradients are made of, where M values were normalised together (see `gradientRows`). */
  async gradients(
    x: DeviceArray,
    g: DeviceArray,
    coefficients: DeviceArray,
    M: number,
    scope: Scope,
  ): Promise<DeviceArray> {
    const { partialGradients, gradients } = this.#compiled;
    const sums = scope.use(await partialGradients.run(x, g, coefficients, 1));
    return scope.use(await gradients.run(sums, coefficients, 1 / M, 1));
  }

  /** The same table of sums that the host gives. */
  async gradientsOfTotal(
    total: GradientSums,
    coefficients: DeviceArray,
    M: number,
    scope: Scope,
  ): Promise<DeviceArray> {
    const sums = scope.use(await this.#context.upload(totalTable(total)));
    return scope.use(await this.#compiled.gradientsOfTotal.run(sums, coefficients, 1 / M));
  }

  /** dx, through batch statistics. */
  async inputGradient(
    { x, coefficients, mask }: Forward,
    g: DeviceArray,
    gradients: DeviceArray,
    scope: Scope,
  ): Promise<DeviceArray> {
    const { inputGradient, maskedInputGradient } = this.#compiled;
    return scope.use(
      mask
        ? await maskedInputGradient.run(x, g, mask.array, coefficients, gradients)
        : await inputGradient.run(x, g, coefficients, gradients),
    );
  }

  /** dx, with constant statistics. */
  async scaledGradient({ coefficients }: Forward, g: DeviceArray, scope: Scope): Promise<DeviceArray> {
    return scope.use(await this.#compiled.scaledGradient.run(g, coefficients));
  }

  release(): void {
    for (const kernel of Object.values(this.#compiled)) kernel.dispose();
  }
}

function coefficientTable({ by, channels: redone }: Redone): Float32Array {
  return tableOf(coefficientRows, by.mean.length, (c) => {
    const mean = redone.has(c) ? Number.NaN : by.mean[c]!;
    const meanHigh = Math.fround(mean);
    const meanLow = mean - meanHigh;
    const invStd = by.invStd[c]!;
    const scale = redone.has(c) ? Number.NaN : by.gamma[c]! * invStd;
    return [meanHigh, meanLow, invStd, scale, by.beta[c]! - meanLow * scale];
  });
}

function totalTable({ dgamma, dbeta }: GradientSums): Float32Array {
  return tableOf(totalRows, dbeta.length, (c) => {
    const dbetaHigh = Math.fround(dbeta[c]!);
    return [dbetaHigh, dbeta[c]! - dbetaHigh, dgamma[c]!];
  });
}

/** A table whose column of channel c is `column(c)`. */
function tableOf(rows: readonly string[], C: number, column: (c: number) => readonly number[]): Float32Array {
  const table = new Float32Array(rows.length * C);
  for (let c = 0; c < C; c++) {
    column(c).forEach((value, row) => {
      table[row * C + c] = value;
    });
  }
  return table;
}

/** The moments of a batch of M values in float64, of its table. */
export function momentsOf(table: Float32Array, C: number, M: number): Moments {
  const [pivot, sumHigh, sumLow, squaresHigh, squaresLow] = momentRows.map((_, row) => row * C) as FiveRows;
  const [mean, m2] = [new Float64Array(C), new Float64Array(C)];
  for (let c = 0; c < C; c++) {
    const sum = table[sumHigh + c]! + table[sumLow + c]!;
    const squares = table[squaresHigh + c]! + table[squaresLow + c]!;
    mean[c] = table[pivot + c]! + sum / M;
    m2[c] = Math.max(0, squares - (sum * sum) / M);
  }
  return { count: M, mean, m2 };
}

/** dgamma and dbeta, of a table of gradients. */
export function gradientSumsOf(table: Float32Array, { channels }: Extent): GradientSums {
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
