// A kernel on the CPU returns its result, one on a GPU a promise of it. Callers always await.

/** A value, or the promise of one. */
export type MaybePromise<T> = T | PromiseLike<T>;
