// A kernel on the CPU answers at once, one on a GPU later; callers always await.

export type MaybePromise<T> = T | PromiseLike<T>;
