// How long a call takes, with a timer that may be coarse, on a thread that others need, too.

/** A sample lasts some ticks of the coarsest timer: browsers round to as much as 1 ms. */
const shortestSampleMs = 4;

/** Times one call, in as many turns as its owner likes. */
export class Stopwatch {
  readonly #call: () => PromiseLike<unknown>;
  readonly #samples: number[] = [];
  #callsPerSample = 1;
  #spentMs = 0;

  constructor(call: () => PromiseLike<unknown>) {
    this.#call = call;
  }

  /** What all turns took together. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** The median time of one call in milliseconds; NaN before the first turn. */
  get medianMs(): number {
    const sorted = [...this.#samples].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }

  /**
   * Calls for about `turnMs`. In the first turn one call warms up and one more is timed, however long they take; a later turn is one
   * call at least. Errors: those of the call; the signal's reason.
   */
  async run(turnMs: number, signal: AbortSignal): Promise<void> {
    const begin = performance.now();
    const deadline = begin + turnMs;
    if (this.#samples.length === 0) await this.#call();
    for (;;) {
      // Calls that are promises only would keep timers, painting and the signal waiting.
      await new Promise((resolve) => setTimeout(resolve));
      signal.throwIfAborted();
      const elapsed = await this.#sample();
      const [now, tooShort] = [performance.now(), elapsed < shortestSampleMs];
      if (tooShort && now < deadline) {
        // What has been long enough so far was so because of something else: a cold compiler, another process.
        this.#callsPerSample *= 2;
        this.#samples.length = 0;
        continue;
      }
      if (!tooShort || this.#samples.length === 0) this.#samples.push(elapsed / this.#callsPerSample);
      if (now < deadline) continue;
      this.#spentMs += now - begin;
      return;
    }
  }

  /** The time of `#callsPerSample` calls. */
  async #sample(): Promise<number> {
    const begin = performance.now();
    for (let i = 0; i < this.#callsPerSample; i++) await this.#call();
    return performance.now() - begin;
  }
}
