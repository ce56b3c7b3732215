// The arithmetic on the device, for one extent: kernels one after the other. What they make is held by the caller's scope.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import type { Engine, Program } from './engine.js';
import { float32Epsilon, leastVariance, type Normalizer, type Parameters } from './range.js';
import type { ParameterGradients } from './redo.js';
import type { Resident } from './resident.js';
import type { Scope } from './scope.js';
import { coefficientRows, gradientRows, momentRows, type Sources, sourcesFor } from './sources.js';

type Programs = Readonly<Record<keyof Sources, Program>>;

export class DeviceArithmetic {
  readonly extent: Extent;
  readonly #programs: Programs;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(engine: Engine, extent: Extent) {
    this.extent = extent;
    const programs: Partial<Record<keyof Sources, Program>> = {};
    try {
      for (const [name, source] of Object.entries(sourcesFor(extent, engine.traits.threadRows))) {
        programs[name as keyof Sources] = engine.compile(source);
      }
    } catch (error) {
      for (const program of Object.values(programs)) program.dispose();
      throw error;
    }
    this.#programs = programs as Programs;
  }

  /** The table of moments of a batch. */
  async moments(x: Resident, epsilon: number, scope: Scope): Promise<Resident> {
    const { partialOffsets, pivots, partialMoments, partialMomentsWithoutEpsilon, moments } = this.#programs;
    const offsets = scope.hold(await partialOffsets.run(x, 1));
    const around = scope.hold(await pivots.run(offsets, 1));
    const summing = epsilon < leastVariance ? partialMomentsWithoutEpsilon : partialMoments;
    const sums = scope.hold(await summing.run(x, around, 1));
    return scope.hold(await moments.run(sums, around, 1));
  }

  /** The table of coefficients by which a batch's own moments normalise it. */
  async coefficients(moments: Resident, { gamma, beta, epsilon }: Parameters, scope: Scope): Promise<Resident> {
    const C = this.extent.channels;
    const parameters = new Float32Array(2 * C + 1);
    parameters.set(gamma);
    parameters.set(beta, C);
    parameters[2 * C] = Number.NaN;
    return scope.hold(await this.#programs.coefficients.run(moments, parameters, float32Epsilon(epsilon), 1));
  }

  async normalize(x: Resident, coefficients: Resident, scope: Scope): Promise<Resident> {
    return scope.hold(await this.#programs.normalize.run(x, coefficients));
  }

  /** The table of parameter gradients. */
  async gradients(x: Resident, dy: Resident, coefficients: Resident, scope: Scope): Promise<Resident> {
    const { partialGradients, gradients } = this.#programs;
    const sums = scope.hold(await partialGradients.run(x, dy, coefficients, 1));
    return scope.hold(await gradients.run(sums, coefficients, 1));
  }

  /** dx, through batch statistics. */
  async inputGradient(
    x: Resident,
    dy: Resident,
    coefficients: Resident,
    gradients: Resident,
    scope: Scope,
  ): Promise<Resident> {
    return scope.hold(await this.#programs.inputGradient.run(x, dy, coefficients, gradients));
  }

  /** dx, with constant statistics. */
  async scaledGradient(dy: Resident, coefficients: Resident, scope: Scope): Promise<Resident> {
    return scope.hold(await this.#programs.scaledGradient.run(dy, coefficients));
  }

  release(): void {
    for (const program of Object.values(this.#programs)) program.dispose();
  }
}

/** The table of coefficients of given statistics, in which all is NaN for the channels of `misfits`. */
export function coefficientTable(by: Normalizer, misfits: ReadonlySet<number>): Float32Array {
  const C = by.mean.length;
  const table = new Float32Array(coefficientRows.length * C);
  for (let c = 0; c < C; c++) {
    const mean = misfits.has(c) ? Number.NaN : by.mean[c]!;
    const meanHigh = Math.fround(mean);
    const meanLow = mean - meanHigh;
    const invStd = by.invStd[c]!;
    const scale = misfits.has(c) ? Number.NaN : by.gamma[c]! * invStd;
    const rows = [meanHigh, meanLow, invStd, scale, by.beta[c]! - meanLow * scale];
    rows.forEach((value, row) => {
      table[row * C + c] = value;
    });
  }
  return table;
}

/** Mean and population variance in float64, of a table of moments. */
export function statisticsOf(table: Float32Array, extent: Extent): Statistics {
  const C = extent.channels;
  const M = valuesPerChannel(extent);
  const [pivot, sumHigh, sumLow, squaresHigh, squaresLow] = momentRows.map((_, row) => row * C) as FiveRows;
  const [mean, variance] = [new Float64Array(C), new Float64Array(C)];
  for (let c = 0; c < C; c++) {
    const sum = table[sumHigh + c]! + table[sumLow + c]!;
    const squares = table[squaresHigh + c]! + table[squaresLow + c]!;
    mean[c] = table[pivot + c]! + sum / M;
    // Never Math.max(0, …) of NaN into a number: a variance that is not finite must be seen.
    const M2 = squares - (sum * sum) / M;
    variance[c] = M2 < 0 ? 0 : M2 / M;
  }
  return { mean, variance };
}

/** dgamma and dbeta of a table of gradients. */
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
