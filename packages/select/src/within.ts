// Waiting with a time limit, because a factory or a kernel may never answer.

/** The longest delay of a timer, in milliseconds: a longer one would fire at once. */
const longestTimer = 2 ** 31 - 1;

/** Settles as `work` does, or rejects after `ms` milliseconds, or for the reason of `signal`. Work goes on. */
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
