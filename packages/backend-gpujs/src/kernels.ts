// The kernels of one plan, for both memories: activations come to the device, the stages run there, and results go to
// the memory of the caller.
import {
  assertFiniteMoments,
  type Backend,
  type BackwardOutput,
  type CountedPositions,
  type DeviceMemory,
  type DeviceTensor,
  type Extent,
  type FloatArray,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientBuffers,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type Kernels,
  type MaybePromise,
  type Memory,
  type MomentsInput,
  type NormalizeInput,
  type Normalizer,
  type OnDevice,
  type Operations,
  operationsOf,
  type Plan,
  type Stages,
} from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import { copyOf, GpuJsMoments, GpuJsSums, GpuJsVector } from './channel-values.js';
import { isOnHost } from './device-array.js';
import { deviceMask } from './device-mask.js';
import { GpuJsTensor } from './device-tensor.js';
import type { GpuContext } from './gpu-context.js';
import { Passes } from './passes.js';
import { SavedForward } from './saved-forward.js';
import { inScope, type Scope } from './scope.js';
import { type GpuJsMemory, GpuJsStages } from './stages.js';

type Result = 'activation' | 'vector' | 'moments' | 'sums';

/** Where results go, if the caller gave any buffers. */
type Buffers<M extends Memory> = Pick<ForwardInput<M>, 'y'> & GradientBuffers<M>;

/**
 * The stages on activations of one memory. Operations of two stages are fused: their activation is brought, and kept
 * alive, once for both.
 */
abstract class MemoryStages<M extends Memory> implements Stages<M> {
  readonly fused: NonNullable<Stages<M>['fused']>;
  readonly #context: GpuContext;
  readonly #stages: GpuJsStages;

  constructor(context: GpuContext, stages: GpuJsStages) {
    this.#context = context;
    this.#stages = stages;
    const operations = operationsOf(stages);
    this.fused = {
      forwardTraining: (input) => this.#forwardTraining(operations, input),
      backwardTraining: ({ parameterGradients, ...input }) =>
        this.#backward(input, parameterGradients, (own) => operations.backwardTraining({ ...own, parameterGradients })),
      backwardInference: ({ parameterGradients, ...input }) =>
        this.#backward(input, parameterGradients, (own) =>
          operations.backwardInference({ ...own, parameterGradients }),
        ),
    };
  }

  moments({ x, epsilon, mask }: MomentsInput<M>): Promise<M['moments']> {
    return inScope(async (scope) => {
      const own = { x: await this.take(x, scope), mask: await this.#mask(mask, scope) };
      const moments = await this.#stages.moments({ ...own, epsilon });
      return this.give<'moments'>(scope.own(moments), undefined, scope);
    });
  }

  normalize(input: NormalizeInput<M>): Promise<ForwardOutput<M>> {
    return inScope(async (scope) => {
      const by = this.#normalizer(input.by);
      const { y, saved } = await this.#stages.normalize({ ...(await this.#forwardInput(input, scope)), by });
      for (const result of [y, saved]) scope.own(result);
      return { y: await this.give<'activation'>(y, input.y, scope), saved: scope.detach(saved) };
    });
  }

  gradientSums(input: GradientSumsInput<M>): Promise<M['sums']> {
    return inScope(async (scope) => {
      const saved = SavedForward.retained(input.saved, scope);
      const g = await this.#stages.upstream(saved, await this.take(input.dy, scope), scope);
      const sums = await this.#stages.gradientSums({ saved, dy: g });
      return this.give<'sums'>(scope.own(sums), undefined, scope);
    });
  }

  async inputGradient({ sums, total, ...input }: InputGradientInput<M>): Promise<BackwardOutput<M>> {
    const found = { sums: sums && this.#sums(sums), total: total && this.#sums(total) };
    return this.#backward(input, sums !== undefined, (own) => this.#stages.inputGradient({ ...own, ...found }));
  }

  /** A tensor of the call's own: the caller may dispose its one meanwhile. Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  protected abstract take(activation: M['activation'], scope: Scope): MaybePromise<GpuJsTensor>;

  /** A tensor of the call's own, in memory that nobody else can write to. Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
  protected abstract copy(activation: M['activation'], scope: Scope): GpuJsTensor;

  /** Errors unless the buffers can receive results: `FOREIGN_TENSOR`, `INVALID_TENSOR`, `DISPOSED`. */
  protected abstract assertBuffers(buffers: Partial<Buffers<M>>): void;

  /** A result that the scope owns, in the caller's memory: in the buffer, if there is one. */
  protected abstract give<K extends Result>(
    result: GpuJsMemory[K],
    buffer: M[K] | undefined,
    scope: Scope,
  ): MaybePromise<M[K]>;

  #forwardTraining(
    operations: Operations<GpuJsMemory>,
    input: ForwardTrainingInput<M>,
  ): Promise<ForwardTrainingOutput<M>> {
    return inScope(async (scope) => {
      const own = await this.#forwardInput(input, scope);
      const output = await operations.forwardTraining({ ...own, requireFinite: false });
      for (const result of Object.values(output)) scope.own(result);
      const moments = await this.give<'moments'>(output.moments, undefined, scope);
      if (input.requireFinite && 'm2' in moments) assertFiniteMoments(moments);
      const y = await this.give<'activation'>(output.y, input.y, scope);
      return { y, saved: scope.detach(output.saved), moments };
    });
  }

  /** Vectors are copied: the caller may change its own while the device computes. */
  async #forwardInput(
    { x, residual, mask, gamma, beta, epsilon, y }: ForwardInput<M> & Pick<MomentsInput<M>, 'mask'>,
    scope: Scope,
  ): Promise<ForwardInput<GpuJsMemory> & Pick<MomentsInput<GpuJsMemory>, 'mask'>> {
    this.assertBuffers({ y });
    const parameters = { gamma: gamma.slice(), beta: beta.slice(), epsilon };
    // Both at once: the caller may dispose the one while the other is under way. When one fails, the scope waits for both.
    const taking = [this.take(x, scope), residual && this.take(residual, scope)] as const;
    await Promise.allSettled(taking);
    const [own, ownResidual] = await Promise.all(taking);
    return { x: own, residual: ownResidual, mask: await this.#mask(mask, scope), ...parameters, y: undefined };
  }

  async #mask(mask: CountedPositions | undefined, scope: Scope): Promise<CountedPositions | undefined> {
    return mask && deviceMask(mask, this.#context, scope);
  }

  /** Without `parameterGradients` nobody reads dgamma and dbeta. */
  #backward(
    { saved, dy, dx, dresidual, dgamma, dbeta }: GradientSumsInput<M> & GradientBuffers<M>,
    parameterGradients: boolean,
    call: (
      own: GradientSumsInput<GpuJsMemory> & GradientBuffers<GpuJsMemory>,
    ) => MaybePromise<BackwardOutput<GpuJsMemory>>,
  ): Promise<BackwardOutput<M>> {
    return inScope(async (scope) => {
      const vectors = parameterGradients ? { dgamma, dbeta } : { dgamma: undefined, dbeta: undefined };
      this.assertBuffers({ dx, dresidual, ...vectors });
      const forward = SavedForward.retained(saved, scope);
      const copy = forward.hasResidual && !this.#stages.hasNonlinearity ? this.copy(dy, scope) : undefined;
      const g = await this.#stages.upstream(forward, await this.take(dy, scope), scope);
      const noBuffers = { dx: undefined, dgamma: undefined, dbeta: undefined };
      const results = await call({ saved: forward, dy: g, ...noBuffers });
      for (const result of Object.values(results)) scope.own(result);
      const skip = forward.hasResidual ? (copy ?? (await this.#stages.residualGradient(g, scope))) : undefined;
      // Vectors first, because reading them may fail: activations are there.
      return {
        dgamma: await this.give<'vector'>(results.dgamma, vectors.dgamma, scope),
        dbeta: await this.give<'vector'>(results.dbeta, vectors.dbeta, scope),
        dx: await this.give<'activation'>(results.dx, dx, scope),
        ...(skip && { dresidual: await this.give<'activation'>(skip, dresidual, scope) }),
      };
    });
  }

  #normalizer({ batch, given }: Normalizer<Memory>): Normalizer<GpuJsMemory> {
    if (given) return { given: { mean: given.mean.slice(), variance: given.variance.slice() } };
    return { batch: 'read' in batch ? GpuJsMoments.of(batch, this.#context) : copyOf(batch) };
  }

  #sums(sums: OnDevice<GradientSums> | GradientSums): GpuJsSums | GradientSums {
    if ('read' in sums) return GpuJsSums.of(sums, this.#context);
    return { dgamma: sums.dgamma.slice(), dbeta: sums.dbeta.slice() };
  }
}

/** Host arrays: an upload before, and a readback after. Calls see their results. */
export class GpuJsKernels extends MemoryStages<HostMemory> implements Kernels {
  readonly device: Stages<DeviceMemory>;
  readonly #backend: Backend;
  readonly #context: GpuContext;
  readonly #passes: Passes;

  constructor(backend: Backend, context: GpuContext, plan: Plan) {
    const passes = new Passes(context, plan);
    super(context, new GpuJsStages(backend, context, passes, true));
    this.device = new DeviceStages(backend, context, passes, this);
    this.#backend = backend;
    this.#context = context;
    this.#passes = passes;
    releaseWhenDropped(this, passes);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#passes.release();
  }

  protected async take(elements: FloatArray, scope: Scope): Promise<GpuJsTensor> {
    const array = await this.#context.upload(elements);
    return scope.own(new GpuJsTensor(this.#backend, array, [elements.length]));
  }

  protected copy(elements: FloatArray, scope: Scope): GpuJsTensor {
    const array = this.#context.onHost(new Float32Array(elements));
    return scope.own(new GpuJsTensor(this.#backend, array, [elements.length]));
  }

  protected assertBuffers(): void {}

  protected async give<K extends Result>(
    result: GpuJsMemory[K],
    buffer: HostMemory[K] | undefined,
  ): Promise<HostMemory[K]> {
    const value = (await (result instanceof GpuJsTensor ? result.array : result).read()) as HostMemory[K];
    if (buffer === undefined) return value;
    (buffer as FloatArray).set(value as FloatArray);
    return buffer;
  }
}

/** Device tensors: on a device no call waits for results. */
class DeviceStages extends MemoryStages<DeviceMemory> {
  /** Kernels free the passes when they are dropped: whoever has these stages needs them alive. */
  readonly kernels: Kernels;
  readonly #backend: Backend;
  readonly #context: GpuContext;
  readonly #extent: Extent;

  constructor(backend: Backend, context: GpuContext, passes: Passes, kernels: Kernels) {
    super(context, new GpuJsStages(backend, context, passes, context.traits.onHost));
    this.kernels = kernels;
    this.#backend = backend;
    this.#context = context;
    this.#extent = passes.extent;
  }

  protected take(tensor: DeviceTensor, scope: Scope): GpuJsTensor {
    const { array } = GpuJsTensor.of(tensor, this.#context);
    return scope.own(new GpuJsTensor(this.#backend, array.retain(), tensor.shape));
  }

  protected copy(tensor: DeviceTensor, scope: Scope): GpuJsTensor {
    const { array } = GpuJsTensor.of(tensor, this.#context);
    // Nobody can write to what is on a device: a tensor that receives a result gives up the memory that it had.
    const copy = isOnHost(array.handle) ? this.#context.onHost(array.handle.slice()) : array.retain();
    return scope.own(new GpuJsTensor(this.#backend, copy, tensor.shape));
  }

  protected assertBuffers({ y, dx, dresidual, dgamma, dbeta }: Partial<Buffers<DeviceMemory>>): void {
    for (const tensor of [y, dx, dresidual]) if (tensor) GpuJsTensor.of(tensor, this.#context);
    for (const [name, vector] of Object.entries({ dgamma, dbeta })) {
      if (vector) GpuJsVector.of(vector, `out.${name}`, this.#extent.channels, this.#context);
    }
  }

  protected give<K extends Result>(
    result: GpuJsMemory[K],
    buffer: DeviceMemory[K] | undefined,
    scope: Scope,
  ): DeviceMemory[K] {
    scope.detach(result);
    if (buffer === undefined) {
      result.freedWhenDropped();
      return result as DeviceMemory[K];
    }
    (buffer as unknown as { adopt(result: GpuJsMemory[K]): void }).adopt(result);
    return buffer;
  }
}
