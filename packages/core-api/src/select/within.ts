// Waiting that ends: a factory or a kernel may never answer.

/** The longest time that a timer can be set to. */
const longestTimer = 2 ** 31 - 1;

/**
 * Settles as `work` does, but rejects after `ms` milliseconds, or with the reason of `outer`. The work is told by its signal, and goes
 * on if it does not listen.
 */
export async function within<T>(
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => PromiseLike<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const timeout = () => controller.abort(new Error(`timed out: no answer within ${Math.round(ms)} ms`));
  // Not AbortSignal.timeout: Node does not wait for that, and would exit.
  const timer = setTimeout(timeout, Math.min(ms, longestTimer));
  const abort = () => controller.abort(outer!.reason);
  outer?.addEventListener('abort', abort);
  try {
    const interruption = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    return await Promise.race([work(signal), interruption]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', abort);
  }
}
