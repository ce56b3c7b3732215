// How long a call takes, with a timer that may be coarse, on a machine that others use, too: turn by turn, so that several
// calls can be timed in alternation, and what disturbs the machine for a while disturbs all of them.

/** A sample lasts some ticks of the coarsest timer: browsers round to as much as 1 ms. */
const shortestSampleMs = 4;

/** Times one call until its budget is spent. The first turn warms up, and one more is timed however long they take. */
export class Stopwatch {
  readonly #call: () => PromiseLike<unknown>;
  #leftMs: number;
  readonly #samples: number[] = [];
  /** None: the next turn warms up. */
  #callsPerTurn = 0;

  constructor(call: () => PromiseLike<unknown>, budgetMs: number) {
    this.#call = call;
    this.#leftMs = budgetMs;
  }

  /** Whether there is a sample and the budget is spent. */
  get done(): boolean {
    return this.#leftMs <= 0 && this.#samples.length > 0;
  }

  /** The median time of one call in milliseconds. */
  get median(): number {
    const sorted = this.#samples.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }

  /** Some calls: the warm-up, a sample, or too few for a sample, then twice as many in the next turn. Errors: those of the call. */
  async turn(): Promise<void> {
    // Calls that are promises only would keep timers, painting and abort signals waiting.
    await new Promise((resolve) => setTimeout(resolve));
    const calls = this.#callsPerTurn;
    const begin = performance.now();
    for (let i = 0; i < Math.max(1, calls); i++) await this.#call();
    const ms = performance.now() - begin;
    this.#leftMs -= ms;
    const isSample = calls > 0 && (ms >= shortestSampleMs || this.#leftMs <= 0);
    if (isSample) this.#samples.push(ms / calls);
    if (calls === 0) this.#callsPerTurn = 1;
    else if (ms < shortestSampleMs) this.#callsPerTurn *= 2;
  }
}
