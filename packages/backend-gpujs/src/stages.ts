// The four stages: passes on the device, whatever memory their caller has. Inputs are the call's own, and nobody lets
// them go meanwhile; masks are `DeviceMask`s, saved forwards `Forward`s, and dy is what `upstream` made of it.
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
import type { Parameters } from '@batchnorm/core-api/float32-range';
import { GpuJsMoments, GpuJsSums, GpuJsVector, type See, seeOnce } from './channel-values.js';
import { type DeviceArray, isOnHost } from './device-array.js';
import type { DeviceMask } from './device-mask.js';
import { GpuJsTensor } from './device-tensor.js';
import type { GpuContext } from './gpu-context.js';
import { gradientSumsOf, momentsOf, type Passes } from './passes.js';
import {
  type Redone,
  redoGradientSums,
  redoInputGradient,
  redoMoments,
  redoNormalize,
  redoneOfBatch,
  redoneOfGiven,
  redoUpstream,
  type SeenSums,
} from './redo.js';
import { type Forward, SavedForward } from './saved-forward.js';
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

  get hasNonlinearity(): boolean {
    return this.#passes.activation !== 'none';
  }

  moments({ x, epsilon, mask }: MomentsInput<GpuJsMemory>): Promise<GpuJsMoments> {
    const { extent } = this.#passes;
    const C = extent.channels;
    const count = mask?.count ?? valuesPerChannel(extent);
    return inScope(async (scope) => {
      const table = await this.#passes.moments(x.array, epsilon, mask as DeviceMask | undefined, scope);
      const see = await this.#see(async () =>
        redoMoments(extent, x.array, epsilon, mask, momentsOf(await table.read(), C, count)),
      );
      return new GpuJsMoments(scope.detach(table), C, count, epsilon, see);
    });
  }

  normalize(input: NormalizeInput<GpuJsMemory>): Promise<ForwardOutput<GpuJsMemory>> {
    const { x, mask, gamma, beta, epsilon, by } = input;
    const { extent, activation } = this.#passes;
    const summands = { x: x.array, residual: input.residual?.array };
    return inScope(async (scope) => {
      const { coefficients, M, see } = await this.#normalization(by, { gamma, beta, epsilon }, scope);
      const result = await this.#passes.normalize(summands, coefficients, scope);
      const y = await this.#result(result, scope);
      const redone = await see?.();
      if (redone) await redoNormalize(extent, summands, redone, activation, await y.read());
      const saved = new SavedForward({
        x: x.array,
        coefficients,
        M,
        mask: mask as DeviceMask | undefined,
        hasResidual: input.residual !== undefined,
        residual: activation === 'relu' && redone ? summands.residual : undefined,
        y: activation === 'relu' && !isOnHost(result.handle) ? result : undefined,
        redone,
      });
      return { y: new GpuJsTensor(this.#backend, scope.detach(y), x.shape), saved };
    });
  }

  /** g, the gradient of z: dy behind the nonlinearity, without one dy itself. */
  async upstream(forward: Forward, dy: GpuJsTensor, scope: Scope): Promise<GpuJsTensor> {
    if (this.#passes.activation === 'none') return dy;
    const { redone } = forward;
    let g = await this.#passes.upstream(forward, dy.array, scope);
    if (redone && redone.channels.size > 0) {
      const elements = await g.read();
      await redoUpstream(this.#passes.extent, forward, dy.array, redone, elements);
      if (!isOnHost(g.handle)) g = scope.use(await this.#context.upload(elements));
    }
    return scope.own(new GpuJsTensor(this.#backend, scope.detach(g), dy.shape));
  }

  /** dresidual behind a nonlinearity, which is g itself; where the host sees results, it is there. */
  async residualGradient(g: GpuJsTensor, scope: Scope): Promise<GpuJsTensor> {
    const array = await this.#result(g.array, scope);
    return array === g.array ? g : scope.own(new GpuJsTensor(this.#backend, scope.detach(array), g.shape));
  }

  gradientSums({ saved, dy: g }: GradientSumsInput<GpuJsMemory>): Promise<GpuJsSums> {
    const { extent } = this.#passes;
    const { x, coefficients, M, redone } = saved as Forward;
    return inScope(async (scope) => {
      const table = await this.#passes.gradients(x, g.array, coefficients, M, scope);
      const look = async (redone: Redone) => {
        const numbers = await table.read();
        return redoGradientSums(
          { extent, x, g: g.array, redone },
          { ...gradientSumsOf(numbers, extent), table: numbers },
        );
      };
      const see = redone && (await this.#see(() => look(redone)));
      return new GpuJsSums(scope.detach(table), extent, see);
    });
  }

  inputGradient({
    saved,
    dy: g,
    sums,
    total,
  }: Omit<InputGradientInput<GpuJsMemory>, 'sums'> & { readonly sums: Sums | undefined }): Promise<
    BackwardOutput<GpuJsMemory>
  > {
    const passes = this.#passes;
    const { extent } = passes;
    const { x, M, mask, redone } = saved as Forward;
    return inScope(async (scope) => {
      const through = total && (await this.#through(total, saved as Forward, scope));
      const result = through
        ? await passes.inputGradient(saved as Forward, g.array, through.table, scope)
        : await passes.scaledGradient(saved as Forward, g.array, scope);
      const dx = await this.#result(result, scope);
      if (redone) {
        const backward = { extent, x, g: g.array, redone };
        if (through) await redoInputGradient(backward, await through.see?.(), M, true, mask, await dx.read());
        else {
          const seen = sums instanceof GpuJsSums ? await sums.see?.() : sums;
          await redoInputGradient(backward, seen, valuesPerChannel(extent), false, mask, await dx.read());
        }
      }
      const vector = (name: keyof GradientSums) =>
        sums instanceof GpuJsSums
          ? sums.vector(name)
          : GpuJsVector.known(this.#context, sums?.[name] ?? new Float64Array(extent.channels));
      return {
        dx: new GpuJsTensor(this.#backend, scope.detach(dx), g.shape),
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
  ): Promise<{ readonly coefficients: DeviceArray; readonly M: number; readonly see: See<Redone> | undefined }> {
    if (batch instanceof GpuJsMoments) {
      batch.normalizeWith(parameters);
      const { table, count: M, see } = batch;
      const coefficients = await this.#passes.coefficients(table, M, parameters, scope);
      return { coefficients, M, see: see && (async () => redoneOfBatch(await see(), parameters)) };
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
    const M = batch ? batch.count : valuesPerChannel(this.#passes.extent);
    return { coefficients, M, see: this.#isSeen ? async () => redone : undefined };
  }

  /** The table of gradients through the statistics, and what the host sees of their sums. */
  async #through(
    total: Sums,
    { coefficients, M }: Forward,
    scope: Scope,
  ): Promise<{ readonly table: DeviceArray; readonly see: See<SeenSums> | undefined }> {
    if (total instanceof GpuJsSums) return total;
    const table = await this.#passes.gradientsOfTotal(total, coefficients, M, scope);
    return { table, see: this.#isSeen ? async () => ({ ...total, table: await table.read() }) : undefined };
  }

  /**
   * What the host will see, while kernels go on; at once where the device's memory is its own, and may change after the
   * call.
   */
  async #see<T>(look: () => Promise<T>): Promise<See<T> | undefined> {
    if (!this.#isSeen) return undefined;
    const see = seeOnce(look);
    if (this.#context.traits.onHost) await see();
    return see;
  }

  /** `array`; where the host sees results, it is there. */
  async #result(array: DeviceArray, scope: Scope): Promise<DeviceArray> {
    if (!this.#isSeen || isOnHost(array.handle)) return array;
    return scope.use(this.#context.onHost(await array.read()));
  }
}
