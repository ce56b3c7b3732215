// How a right backend is wrapped: something stands around its operations, its tensors or its kernels.
import type {
  Backend,
  BackwardInput,
  BackwardOutput,
  DeviceMemory,
  DeviceTensor,
  ForwardInferenceInput,
  ForwardInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  HostMemory,
  Kernels,
  MaybePromise,
  Memory,
  Operations,
  Plan,
} from '@batchnorm/core-api';
import type { RightBackend, RightKernels, StoredTensor } from './right-backend.js';

/** The right backend, with other functions or another description of itself. */
export function adapt(right: RightBackend, changes: Partial<Backend>): Backend {
  return Object.assign(right, changes);
}

/** The right backend, whose kernels are changed when they have been prepared. */
export function withKernels(
  right: RightBackend,
  change: (kernels: RightKernels, plan: Plan) => MaybePromise<Kernels>,
): Backend {
  const { prepare } = right;
  return adapt(right, { prepare: (plan) => change(prepare(plan), plan) });
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

function hooked<M extends Memory>(operations: Operations<M>, hooks: Hooks<M>): Operations<M> {
  const { forward, backward } = hooks;
  const around = (hook: unknown, next: unknown) =>
    hook === undefined ? next : (input: unknown) => (hook as Hook<M, unknown, unknown>)(input, next as never);
  return {
    forwardTraining: around(hooks.training ?? forward, operations.forwardTraining),
    forwardInference: around(hooks.inference ?? forward, operations.forwardInference),
    backwardTraining: around(hooks.backwardTraining ?? backward, operations.backwardTraining),
    backwardInference: around(hooks.backwardInference ?? backward, operations.backwardInference),
  } as Operations<M>;
}

/** The same object, some of whose members are others. */
export const changed = <T extends object>(value: T, members: object): T =>
  Object.defineProperties(value, Object.getOwnPropertyDescriptors(members));

/** Every tensor that the backend makes, uploaded or computed, is changed. */
export function everyTensor(right: RightBackend, change: (tensor: StoredTensor) => DeviceTensor): Backend {
  const { upload } = right;
  onDevice(right, () => ({
    async forward(input, next) {
      const output = await next(input);
      return input.y ? output : { ...output, y: change(output.y as StoredTensor) };
    },
    async backward(input, next) {
      const output = await next(input);
      return input.dx ? output : { ...output, dx: change(output.dx as StoredTensor) };
    },
  }));
  return adapt(right, { upload: async (given) => change(await upload(given)) });
}
