// How a right backend is wrapped: something stands around its operations, its tensors or its kernels.
import {
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  type DeviceMemory,
  type DeviceTensor,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientBuffers,
  type HostMemory,
  type Kernels,
  type MaybePromise,
  type Memory,
  type Operations,
  operationsOf,
  type Plan,
  type Stages,
} from '@batchnorm/core-api';
import type { HostStages, RightBackend, RightKernels, StoredTensor } from './right-backend.js';

/** The right backend, with other functions or another description of itself. */
export function adapt(right: RightBackend, changes: Partial<Backend>): Backend {
  return Object.assign(right, changes);
}

/** What a backend may have fused. */
export type WholeOperations<M extends Memory> = Omit<Operations<M>, 'moments'>;

/** The same on host arrays, without promises. */
export interface RightOperations extends WholeOperations<HostMemory> {
  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory>;
  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory>;
  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory>;
  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory>;
}

/** Kernels as whole operations, which are what most wrong backends are wrong in. */
export interface WholeKernels extends WholeOperations<HostMemory> {
  readonly device?: WholeOperations<DeviceMemory>;
  dispose(): void;
}

export interface RightWholeKernels extends RightOperations {
  readonly device: WholeOperations<DeviceMemory>;
  dispose(): void;
}

/** The right kernels as whole operations: stages one after the other, and what has been wrapped around them already. */
export function wholeKernels(kernels: RightKernels): RightWholeKernels {
  const host = whole<HostMemory>(kernels) as RightOperations;
  return { ...host, device: whole(kernels.device), dispose: kernels.dispose };
}

function whole<M extends Memory>(stages: Stages<M>): WholeOperations<M> {
  const operations = operationsOf(stages);
  return {
    forwardTraining: (input) => operations.forwardTraining(input),
    forwardInference: (input) => operations.forwardInference(input),
    backwardTraining: (input) => operations.backwardTraining(input),
    backwardInference: (input) => operations.backwardInference(input),
  };
}

/** The right backend, whose operations are changed when its kernels have been prepared: they are fused. */
export function withKernels(
  right: RightBackend,
  change: (kernels: RightWholeKernels, plan: Plan) => WholeKernels,
): Backend {
  const { prepare } = right;
  return adapt(right, {
    prepare(plan): Kernels {
      const stages = prepare(plan);
      const { device, dispose, ...fused } = change(wholeKernels(stages), plan);
      const { device: deviceStages, ...hostStages } = stages;
      return { ...hostStages, fused, ...(device && { device: { ...deviceStages, fused: device } }), dispose };
    },
  });
}

type Forwarded<M extends Memory> = ForwardOutput<M> & Partial<ForwardTrainingOutput<M>>;
type Answer<M extends Memory, T> = M extends HostMemory ? T : Promise<T>;
type Hook<M extends Memory, I, O> = (input: I, next: (input: I) => Answer<M, O>) => MaybePromise<O>;

/** What stands around the right operations: `next` is the right one. */
export interface Hooks<M extends Memory> {
  readonly training?: Hook<M, ForwardTrainingInput<M>, ForwardTrainingOutput<M>>;
  readonly inference?: Hook<M, ForwardInferenceInput<M>, ForwardOutput<M>>;
  /** Both forwards, where they have no hook of their own. */
  readonly forward?: Hook<M, ForwardInput<M>, Forwarded<M>>;
  readonly backwardTraining?: Hook<M, BackwardInput<M>, BackwardOutput<M>>;
  readonly backwardInference?: Hook<M, BackwardInput<M>, BackwardOutput<M>>;
  /** Both backwards, where they have no hook of their own. */
  readonly backward?: Hook<M, BackwardInput<M>, BackwardOutput<M>>;
}

/** Hooks around the operations on host arrays. */
export function onHost(right: RightBackend, hooksFor: (plan: Plan) => Hooks<HostMemory>): Backend {
  return withKernels(right, (kernels, plan) => ({ ...kernels, ...hooked<HostMemory>(kernels, hooksFor(plan)) }));
}

/** Hooks around the operations on device tensors. */
export function onDevice(right: RightBackend, hooksFor: (plan: Plan) => Hooks<DeviceMemory>): Backend {
  return withKernels(right, (kernels, plan) => ({
    ...kernels,
    device: hooked<DeviceMemory>(kernels.device, hooksFor(plan)),
  }));
}

function hooked<M extends Memory>(operations: WholeOperations<M>, hooks: Hooks<M>): WholeOperations<M> {
  const { forward, backward } = hooks;
  const around = (hook: unknown, next: unknown) =>
    hook === undefined ? next : (input: unknown) => (hook as Hook<M, unknown, unknown>)(input, next as never);
  return {
    forwardTraining: around(hooks.training ?? forward, operations.forwardTraining),
    forwardInference: around(hooks.inference ?? forward, operations.forwardInference),
    backwardTraining: around(hooks.backwardTraining ?? backward, operations.backwardTraining),
    backwardInference: around(hooks.backwardInference ?? backward, operations.backwardInference),
  } as WholeOperations<M>;
}

/** The right backend, some of whose stages are others. Its operations are fused, and made of the right ones. */
export function stagesOnHost(
  right: RightBackend,
  change: (stages: RightKernels, plan: Plan) => Partial<HostStages>,
): Backend {
  const { prepare } = right;
  return adapt(right, {
    prepare(plan) {
      const stages = prepare(plan);
      return { ...stages, ...change(stages, plan), fused: whole<HostMemory>(stages) };
    },
  });
}

/** The same of its stages on the device. */
export function stagesOnDevice(
  right: RightBackend,
  change: (stages: Stages<DeviceMemory>, plan: Plan) => Partial<Stages<DeviceMemory>>,
): Backend {
  const { prepare } = right;
  return adapt(right, {
    prepare(plan) {
      const kernels = prepare(plan);
      const { device } = kernels;
      return { ...kernels, device: { ...device, ...change(device, plan), fused: whole(device) } };
    },
  });
}

/** The same object, some of whose members are others. */
export const changed = <T extends object>(value: T, members: object): T =>
  Object.defineProperties(value, Object.getOwnPropertyDescriptors(members));

/** Every tensor that the backend makes, uploaded or computed, is changed. */
export function everyTensor(right: RightBackend, change: (tensor: StoredTensor) => DeviceTensor): Backend {
  const { upload, prepare } = right;
  const forward =
    <I extends { y: DeviceTensor | undefined }, O extends { y: DeviceTensor }>(next: (input: I) => MaybePromise<O>) =>
    async (input: I): Promise<O> => {
      const output = await next(input);
      return input.y ? output : { ...output, y: change(output.y as StoredTensor) };
    };
  const backward =
    <I extends GradientBuffers<DeviceMemory>, O extends BackwardOutput<DeviceMemory>>(
      next: (input: I) => MaybePromise<O>,
    ) =>
    async (input: I): Promise<O> => {
      const output = await next(input);
      const { dx, dresidual } = output;
      return {
        ...output,
        dx: input.dx ? dx : change(dx as StoredTensor),
        dresidual: input.dresidual || !dresidual ? dresidual : change(dresidual as StoredTensor),
      };
    };
  const changed = ({ fused, ...stages }: Stages<DeviceMemory>): Stages<DeviceMemory> => ({
    ...stages,
    normalize: forward(stages.normalize),
    inputGradient: backward(stages.inputGradient),
    ...(fused && {
      fused: {
        forwardTraining: forward(fused.forwardTraining!),
        forwardInference: forward(fused.forwardInference!),
        backwardTraining: backward(fused.backwardTraining!),
        backwardInference: backward(fused.backwardInference!),
      },
    }),
  });
  adapt(right, {
    prepare(plan) {
      const kernels = prepare(plan);
      return { ...kernels, device: changed(kernels.device) };
    },
  });
  return adapt(right, { upload: async (given) => change(await upload(given)) });
}
