// What a wrong backend is: a right one, one of whose functions is wrapped by something that is wrong at times.
import type {
  Backend,
  BackwardInput,
  BackwardOutput,
  DeviceMemory,
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
import type { RightBackend, RightKernels } from './right-backend.js';

export interface WrongBackend {
  readonly name: string;
  /** What it does wrong, and when. */
  readonly why: string;
  /** Another right backend than the usual one. */
  readonly right?: () => RightBackend;
  /** Makes a right backend wrong. */
  readonly spoil: (right: RightBackend) => Backend;
  /** What a user could do, and what they see then: the same on every right backend, something else on this one. */
  readonly program: (backend: Backend) => Promise<unknown>;
  /** Numbers that differ by less, relative to 1 + their size, are the same to the user. Default 1e-4. */
  readonly tolerance?: number;
}

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
