// Work that makes one thing after the other, of which none may stay when a later one fails.
import type { MaybePromise } from '@batchnorm/core-api';

/** Takes note of what an attempt has made, and gives it back. */
export type Keep = <T extends { dispose(): void }>(one: T) => T;

export function attempt<T>(work: (keep: Keep) => T): T;
/** What `work` gives; if it fails, everything that it has made is disposed. */
export function attempt<T>(work: (keep: Keep) => MaybePromise<T>): MaybePromise<T> {
  const made: { dispose(): void }[] = [];
  const fail = (error: unknown): never => {
    for (const one of made.reverse()) one.dispose();
    throw error;
  };
  const keep: Keep = (one) => {
    made.push(one);
    return one;
  };
  try {
    const result = work(keep);
    return result instanceof Promise ? (result.catch(fail) as Promise<T>) : result;
  } catch (error) {
    return fail(error);
  }
}
