// Waiting that ends: a factory or a kernel may never answer.

/** The longest time that a timer can be set to. */
const longestTimer = 2 ** 31 - 1;

/** Settles as `work` does, but rejects after `ms` milliseconds, or with the reason of `signal`. The work itself goes on. */
export async function within<T>(ms: number, signal: AbortSignal | undefined, work: () => PromiseLike<T>): Promise<T> {
  signal?.throwIfAborted();
  let stop!: () => void;
  const interruption = new Promise<never>((_, reject) => {
    const timeout = () => reject(new Error(`timed out: no answer within ${Math.round(ms)} ms`));
    const timer = setTimeout(timeout, Math.min(ms, longestTimer));
    const abort = () => reject(signal!.reason);
    signal?.addEventListener('abort', abort);
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };
  });
  try {
    return await Promise.race([work(), interruption]);
  } finally {
    stop();
  }
}
