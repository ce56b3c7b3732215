// The four stages: passes on the device, whatever memory their caller has. Inputs are the call's own, and nobody lets
// them go meanwhile.
import {
  type Backend,
  type BackwardOutput,
  type DeviceMemory,
  type ForwardOutput,
  type GradientSums,
  type GradientSumsInput,
  type InputGradientInput,
  type MomentsInput,
  type NormalizeInput,
  type Normalizer,
  refuse,
  type Stages,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { GpuJsMoments, GpuJsSums, GpuJsVector } from './channel-values.js';
import { type DeviceArray, isOnHost } from './device-array.js';
import { GpuJsTensor } from './device-tensor.js';
import type { GpuContext } from './gpu-context.js';
import { gradientSumsOf, momentsOf, type Passes } from './passes.js';
import type { Parameters } from './range.js';
import {
  redoGradientSums,
  redoInputGradient,
  redoMoments,
  redoNormalize,
  redoneOfBatch,
  redoneOfGiven,
  type SeenSums,
} from './redo.js';
import { type Forward, type Normalization, SavedForward } from './saved-forward.js';
import { inScope, type Scope } from './scope.js';

/** Values on the device, each with what the host has seen of it. */
export interface GpuJsMemory extends DeviceMemory {
  readonly activation: GpuJsTensor;
  readonly vector: GpuJsVector;
  readonly moments: GpuJsMoments;
  readonly sums: GpuJsSums;
}

/** Sums may be those that the host has, too. */
type Sums = GpuJsSums | GradientSums;

export class GpuJsStages implements Stages<GpuJsMemory> {
  readonly #backend: Backend;
  readonly #context: GpuContext;
  readonly #passes: Passes;
  readonly #isSeen: boolean;

  /** `isSeen`: every call waits for its results, and redoes on the host what is beyond float32 (see redo.ts). */
  constructor(backend: Backend, context: GpuContext, passes: Passes, isSeen: boolean) {
    this.#backend = backend;
    this.#context = context;
    this.#passes = passes;
    this.#isSeen = isSeen;
  }

  moments({ x, epsilon }: MomentsInput<GpuJsMemory>): Promise<GpuJsMoments> {
    const { extent } = this.#passes;
    return inScope(async (scope) => {
      const table = await this.#passes.moments(x.array, epsilon, scope);
      const seen = this.#isSeen
        ? await redoMoments(extent, x.array, epsilon, momentsOf(await table.read(), extent))
        : undefined;
      return new GpuJsMoments(scope.detach(table), extent, epsilon, seen);
    });
  }

  normalize({ x, gamma, beta, epsilon, by }: NormalizeInput<GpuJsMemory>): Promise<ForwardOutput<GpuJsMemory>> {
    return inScope(async (scope) => {
      const normalization = await this.#normalization(by, { gamma, beta, epsilon }, scope);
      const { coefficients, redone } = normalization;
      const y = await this.#result(await this.#passes.normalize(x.array, coefficients, scope), scope);
      if (redone) await redoNormalize(this.#passes.extent, x.array, redone, await y.read());
      const saved = new SavedForward(x.array.retain(), normalization);
      scope.detach(coefficients);
      return { y: new GpuJsTensor(this.#backend, scope.detach(y), x.shape), saved };
    });
  }

  gradientSums({ saved, dy }: GradientSumsInput<GpuJsMemory>): Promise<GpuJsSums> {
    const { extent } = this.#passes;
    const { x, coefficients, M, redone } = saved as Forward;
    return inScope(async (scope) => {
      const table = await this.#passes.gradients(x, dy.array, coefficients, M, scope);
      let seen: SeenSums | undefined;
      if (redone) {
        const numbers = await table.read();
        seen = { ...gradientSumsOf(numbers, extent), table: numbers };
        await redoGradientSums({ extent, x, dy: dy.array, redone }, seen);
      }
      return new GpuJsSums(scope.detach(table), extent, seen);
    });
  }

  inputGradient({
    saved,
    dy,
    sums,
    total,
  }: Omit<InputGradientInput<GpuJsMemory>, 'sums'> & { readonly sums: Sums | undefined }): Promise<
    BackwardOutput<GpuJsMemory>
  > {
    const passes = this.#passes;
    const { extent } = passes;
    const { x, coefficients, M, redone } = saved as Forward;
    return inScope(async (scope) => {
      const through = total && (await this.#through(total, saved as Forward, scope));
      const result = through
        ? await passes.inputGradient(x, dy.array, coefficients, through.table, scope)
        : await passes.scaledGradient(dy.array, coefficients, scope);
      const dx = await this.#result(result, scope);
      if (redone) {
        const backward = { extent, x, dy: dy.array, redone };
        if (through) await redoInputGradient(backward, through.seen, M, true, await dx.read());
        else await redoInputGradient(backward, sums && seenOf(sums), valuesPerChannel(extent), false, await dx.read());
      }
      const vector = (name: keyof GradientSums) =>
        sums instanceof GpuJsSums
          ? sums.vector(name)
          : GpuJsVector.known(this.#context, sums?.[name] ?? new Float64Array(extent.channels));
      return {
        dx: new GpuJsTensor(this.#backend, scope.detach(dx), dy.shape),
        dgamma: vector('dgamma'),
        dbeta: vector('dbeta'),
      };
    });
  }

  /**
   * By the table of a batch, which the device has, or by what the host has: merged moments or given statistics. Errors:
   * `NON_FINITE_STATISTICS`.
   */
  async #normalization(
    { batch, given }: Normalizer<GpuJsMemory>,
    parameters: Parameters,
    scope: Scope,
  ): Promise<Normalization> {
    const { extent } = this.#passes;
    if (batch instanceof GpuJsMoments) {
      batch.normalizeWith(parameters);
      const { table, count: M, seen } = batch;
      const coefficients = await this.#passes.coefficients(table, M, parameters, scope);
      return { coefficients, M, redone: seen && redoneOfBatch(seen, parameters) };
    }
    const redone = redoneOfGiven(batch ? statisticsOf(batch) : given, parameters);
    const [lost] = redone.channels;
    if (batch && lost !== undefined && !this.#isSeen) {
      refuse(
        'NON_FINITE_STATISTICS',
        `moments of variance ${batch.m2[lost]! / batch.count} in channel ${lost}, with gamma ` +
          `${parameters.gamma[lost]} and beta ${parameters.beta[lost]}`,
        'what float32 can normalise',
      );
    }
    const coefficients = await this.#passes.givenCoefficients(redone, scope);
    const M = batch ? batch.count : valuesPerChannel(extent);
    return { coefficients, M, redone: this.#isSeen ? redone : undefined };
  }

  /** The table of gradients through the statistics, and what the host has seen of their sums. */
  async #through(
    total: Sums,
    { coefficients, M }: Forward,
    scope: Scope,
  ): Promise<{ readonly table: DeviceArray; readonly seen: SeenSums | undefined }> {
    if (total instanceof GpuJsSums) return total;
    const table = await this.#passes.gradientsOfTotal(total, coefficients, M, scope);
    return { table, seen: this.#isSeen ? { ...total, table: await table.read() } : undefined };
  }

  /** `array`; where the host sees results, it is there. */
  async #result(array: DeviceArray, scope: Scope): Promise<DeviceArray> {
    if (!this.#isSeen || isOnHost(array.handle)) return array;
    return scope.use(this.#context.onHost(await array.read()));
  }
}

function seenOf(sums: Sums): SeenSums | undefined {
  return sums instanceof GpuJsSums ? sums.seen : sums;
}
