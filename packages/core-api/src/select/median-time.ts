// How long a call takes, with a timer that may be coarse, on a thread that others need, too.

/** A sample lasts some ticks of the coarsest timer: browsers round to as much as 1 ms. */
const shortestSampleMs = 4;

/**
 * The median time of `call` in milliseconds, for about `budgetMs`. The first call warms up, and one more is timed however
 * long they take. Errors: those of `call`; the signal's reason.
 */
export async function medianTime(
  call: () => PromiseLike<unknown>,
  budgetMs: number,
  signal: AbortSignal,
): Promise<number> {
  const deadline = performance.now() + budgetMs;
  await call();
  const samples: number[] = [];
  let callsPerSample = 1;
  for (;;) {
    // Calls that are promises only would keep timers, painting and the signal waiting.
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
    const begin = performance.now();
    for (let i = 0; i < callsPerSample; i++) await call();
    const end = performance.now();
    const tooShort = end - begin < shortestSampleMs;
    if (!tooShort || end >= deadline) samples.push((end - begin) / callsPerSample);
    if (end >= deadline) return median(samples);
    if (tooShort) callsPerSample *= 2;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
