// The four operations on host arrays, made of a contender's forward, backward and inference.
import type { MaybePromise } from '@batchnorm/core-api';
import type { TimedCall } from './contender.js';
import type { HostTensors } from './host-tensors.js';

type Run = TimedCall['run'];

export interface HostOperations {
  readonly forward: Run;
  /** The gradient of the latest forward. */
  readonly backward: Run;
  /** Absent where a contender has no inference. */
  readonly infer?: Run;
  /** The latest of every result; of these a call is judged by its own. */
  readonly results: TimedCall['results'];
  /** Default 'host'. */
  readonly memory?: HostTensors['memory'];
}

export function hostCalls({ forward, backward, infer, results, memory = 'host' }: HostOperations): TimedCall[] {
  const common = { memory, results };
  return [
    { operation: 'forward-training', run: forward, ...common },
    ...(infer ? [{ operation: 'forward-inference', run: infer, ...common } as const] : []),
    { operation: 'backward', before: forward, run: backward, ...common },
    { operation: 'training-step', run: () => after(forward(), backward), ...common },
  ];
}

/** Calls `next` with the value: at once if it is no promise, so that what is synchronous is timed without one. */
export function after<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Object && 'then' in value ? value.then(next) : next(value);
}
