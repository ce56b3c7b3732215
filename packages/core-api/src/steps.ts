// Work that may have to wait for a backend, written once for callers that can wait and for those that can't.
import type { Backend } from './backend.js';
import { refuse } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';

/** Work that yields every promise it has to wait for, and goes on with what that gives. */
export type Steps<T> = Generator<PromiseLike<unknown>, T, unknown>;

/** What a call gave, waiting for it only where it is a promise. */
export function* arrived<T>(value: MaybePromise<T>): Steps<T> {
  return isPromise(value) ? ((yield value) as T) : value;
}

/** Does the work, and waits where it has to: what it gives, at once where it never has to. */
export function begin<T>(steps: Steps<T>): MaybePromise<T> {
  const step = steps.next();
  return step.done ? step.value : goOn(steps, step.value);
}

async function goOn<T>(steps: Steps<T>, first: PromiseLike<unknown>): Promise<T> {
  let step: IteratorResult<PromiseLike<unknown>, T> = { done: false, value: first };
  while (!step.done) {
    let value: unknown;
    try {
      value = await step.value;
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(value);
  }
  return step.value;
}

/**
 * Does the work without waiting, once: what it gives, while `backend` stays awake. Errors: `UNSUPPORTED` where it has to
 * wait all the same.
 */
export function finishOn<T>(backend: Pick<Backend, 'synchronously'>, work: () => Steps<T>): T {
  if (!backend.synchronously) return finish(work());
  let outcome: (() => T) | undefined;
  let isOver = false;
  backend.synchronously(() => {
    if (isOver || outcome) return;
    try {
      const value = finish(work());
      outcome = () => value;
    } catch (error) {
      outcome = () => {
        throw error;
      };
    }
  });
  isOver = true;
  if (outcome === undefined) {
    refuse('UNSUPPORTED', '`synchronously` that did not call its work', 'a call before it returns');
  }
  return outcome();
}

function finish<T>(steps: Steps<T>): T {
  const step = steps.next();
  if (step.done) return step.value;
  // Nobody will hear of what becomes of it.
  Promise.resolve(step.value).catch(() => undefined);
  // It ends where it stands: its `finally`s free what it holds, and no `catch` takes this for a failure of the call.
  steps.return(undefined as never);
  refuse('UNSUPPORTED', 'a backend that answers with a promise', 'one whose `capabilities.synchronous` holds');
}

/** Only promises wait: a kernel on the CPU costs no turn of the event loop. */
export function isPromise<T>(value: MaybePromise<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T>)?.then === 'function';
}
