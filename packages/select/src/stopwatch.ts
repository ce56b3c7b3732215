// How long a call takes, with a coarse timer, on a machine that does other things, too. It is timed turn by turn, so
// that several stopwatches can alternate: what disturbs the machine for a while disturbs all of them.

/** Browsers round time to multiples of at most this. */
const longestTickMs = 1;
/** Where clocks are fine, samples are short all the same: many of them end before anybody disturbs them. */
const shortestTickMs = 0.1;
/** How many ticks an undisturbed sample lasts at least. */
const ticksPerSample = 5;
/** A fine clock moves while it is read so often. */
const readings = 1000;

interface Turn {
  readonly calls: number;
  readonly ms: number;
}

/** Times one call until its budget is spent: a warm-up and one timed turn at least, however long they take. */
export class Stopwatch {
  readonly #call: () => PromiseLike<unknown>;
  readonly #turns: Turn[] = [];
  readonly #tickMs = tickOfClock();
  #leftMs: number;
  /** How many calls the next turn makes; 0 for the warm-up, which makes one. */
  #calls = 0;
  /** The shortest time that a call can have taken, plus a tick at most. Turns that were disturbed don't raise it. */
  #leastMs = Number.POSITIVE_INFINITY;

  constructor(call: () => PromiseLike<unknown>, budgetMs: number) {
    this.#call = call;
    this.#leftMs = budgetMs;
  }

  /** Whether something was timed and the budget is spent. */
  get done(): boolean {
    return this.#leftMs <= 0 && this.#turns.length > 0;
  }

  /** The median time of one call in milliseconds, over the turns that were long enough, or else the longest. */
  get median(): number {
    const sorted = this.#samples;
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  }

  /**
   * The shortest time of one call: what disturbs the machine only ever makes it longer. That of a turn which was too short
   * counts with a tick more, and so never as less than it was.
   */
  get least(): number {
    return Math.min(this.#samples[0]!, this.#leastMs);
  }

  /** How many turns count. */
  get samples(): number {
    return this.#samples.length;
  }

  /** Milliseconds of one call in ascending order. */
  get #samples(): number[] {
    const mostCalls = this.#turns.at(-1)!.calls;
    const samples = this.#turns.filter(({ calls }) => calls === mostCalls || this.#isEnough(calls));
    return samples.map(({ calls, ms }) => ms / calls).sort((a, b) => a - b);
  }

  /**
   * Makes one call to warm up, then one, then twice as many in each turn until they take long enough. Errors: the
   * call's.
   */
  async turn(): Promise<void> {
    // Promises alone would never let timers, painting and abort signals have their turn.
    await new Promise((resolve) => setTimeout(resolve));
    const calls = this.#calls;
    const begin = performance.now();
    for (let i = 0; i < Math.max(1, calls); i++) await this.#call();
    const ms = performance.now() - begin;
    this.#leftMs -= ms;
    if (calls > 0) {
      this.#turns.push({ calls, ms });
      this.#leastMs = Math.min(this.#leastMs, (ms + this.#tickMs) / calls);
    }
    if (calls === 0) this.#calls = 1;
    else if (!this.#isEnough(calls)) this.#calls = 2 * calls;
  }

  #isEnough(calls: number): boolean {
    return calls * this.#leastMs >= ticksPerSample * this.#tickMs;
  }
}

/** What the clock's times are multiples of, as samples are made: the longest tick where it does not move by itself. */
function tickOfClock(): number {
  const begin = performance.now();
  for (let n = 0; n < readings; n++) {
    const ms = performance.now() - begin;
    if (ms > 0) return Math.min(longestTickMs, Math.max(shortestTickMs, ms));
  }
  return longestTickMs;
}
