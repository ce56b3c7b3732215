// What carries the messages of several processes that normalise as one.
import { CallQueue } from './call-queue.js';
import type { MaybePromise } from './maybe-promise.js';
import type { OptionCheck } from './option-checks.js';

/** Several processes, the ranks, that normalise as one. Every rank makes the same calls in the same order. */
export interface Collective {
  /** Which of them this one is: a whole number from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /**
   * Every rank's values, in rank order, on every rank. All ranks give as many. The caller may change its own afterwards.
   * Errors: `COLLECTIVE_FAILED` on every rank, when one is lost, or gives another number of values.
   */
  allGather(values: Float64Array): Promise<readonly Float64Array[]>;
  /** Layers don't call it: whoever made the collective disposes it. */
  dispose(): MaybePromise<void>;
}

/** What the option `collective` may be. */
export const collectiveCheck: OptionCheck = [
  (value) => {
    const { rank, size, allGather } = Object(value) as Collective;
    const areWhole = Number.isSafeInteger(rank) && Number.isSafeInteger(size);
    return areWhole && rank >= 0 && rank < size && typeof allGather === 'function';
  },
  'a collective: { rank, size, allGather }, with a rank from 0 to below size',
];

const queues = new WeakMap<Collective, CallQueue>();

/** In which order calls on a collective talk to other ranks: that in which they were made here. */
export function callsOn(collective: Collective): CallQueue {
  const queue = queues.get(collective) ?? new CallQueue();
  queues.set(collective, queue);
  return queue;
}

/**
 * What `call` gives, which gathers: run when every earlier call of this, and of the layers with this collective, has
 * ended. So calls that nobody awaits talk to other ranks in the order in which they were made, and not in that in which
 * each rank happens to get there.
 *
 * `call` must not wait for another call of this, of a layer with this collective, or of `sumGradients`: that one waits
 * for `call` to end, and neither ever does.
 */
export function inCallOrder<T>(collective: Collective, call: () => MaybePromise<T>): Promise<T> {
  return callsOn(collective).run(call);
}
