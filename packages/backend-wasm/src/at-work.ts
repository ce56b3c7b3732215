// Calls that return while threads are still at work on them.
import type { MaybePromise } from '@batchnorm/core-api';
import { Made } from './attempt.js';
import type { LinearMemory } from './linear-memory.js';

/**
 * What `makeOutput` makes, after `work` has written to it. Nothing stays if either fails. Until it has ended nobody gets
 * the memory of what is disposed, and `inputs` are alive, though the caller may have dropped all of it.
 */
export function performed<T>(
  memory: LinearMemory,
  inputs: object,
  makeOutput: (made: Made) => T,
  work: (output: T) => MaybePromise<void>,
): MaybePromise<T> {
  const made = new Made();
  try {
    const output = makeOutput(made);
    const running = work(output);
    return running === undefined ? output : whenDone(memory.during(running), [inputs, output], output, made);
  } catch (error) {
    made.dispose();
    throw error;
  }
}

async function whenDone<T>(running: PromiseLike<void>, inUse: object, output: T, made: Made): Promise<T> {
  atWork.add(inUse);
  try {
    await running;
    return output;
  } catch (error) {
    made.dispose();
    throw error;
  } finally {
    atWork.delete(inUse);
  }
}

/** What these calls need. */
const atWork = new Set<object>();

/** `next` after `work`: at once if that is done. */
export function after<T, U>(work: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return work instanceof Promise ? work.then(next) : next(work as T);
}
