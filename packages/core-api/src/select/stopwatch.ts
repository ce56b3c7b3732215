// How long a call takes, with a timer that may be coarse, on a machine that others use, too: turn by turn, so that several
// calls can be timed in alternation, and what disturbs the machine for a while disturbs all of them.

/** Browsers round time to as much as this. */
const tickMs = 1;
/** A sample lasts so many ticks, when nothing disturbs it. */
const ticksPerSample = 5;

interface Turn {
  readonly calls: number;
  readonly ms: number;
}

/** Times one call until its budget is spent. The first turn warms up, and one more is timed however long they take. */
export class Stopwatch {
  readonly #call: () => PromiseLike<unknown>;
  readonly #turns: Turn[] = [];
  #leftMs: number;
  /** None: the next turn warms up. */
  #calls = 0;
  /** The least that a call can have taken in any turn, up to a tick. A turn that was disturbed does not raise it. */
  #leastMs = Number.POSITIVE_INFINITY;

  constructor(call: () => PromiseLike<unknown>, budgetMs: number) {
    this.#call = call;
    this.#leftMs = budgetMs;
  }

  /** Whether something was timed and the budget is spent. */
  get done(): boolean {
    return this.#leftMs <= 0 && this.#turns.length > 0;
  }

  /** The median time of one call in milliseconds, over the turns that were long enough, or the longest. */
  get median(): number {
    const mostCalls = this.#turns.at(-1)!.calls;
    const samples = this.#turns.filter(({ calls }) => calls === mostCalls || this.#isEnough(calls));
    const sorted = samples.map(({ calls, ms }) => ms / calls).sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }

  /** Some calls: one to warm up, then one, and twice as many each time until they are enough. Errors: those of the call. */
  async turn(): Promise<void> {
    // Calls that are promises only would keep timers, painting and abort signals waiting.
    await new Promise((resolve) => setTimeout(resolve));
    const calls = this.#calls;
    const begin = performance.now();
    for (let i = 0; i < Math.max(1, calls); i++) await this.#call();
    const ms = performance.now() - begin;
    this.#leftMs -= ms;
    if (calls > 0) {
      this.#turns.push({ calls, ms });
      this.#leastMs = Math.min(this.#leastMs, (ms + tickMs) / calls);
    }
    if (calls === 0) this.#calls = 1;
    else if (!this.#isEnough(calls)) this.#calls = 2 * calls;
  }

  #isEnough(calls: number): boolean {
    return calls * this.#leastMs >= ticksPerSample * tickMs;
  }
}
