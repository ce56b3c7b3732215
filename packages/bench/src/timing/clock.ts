// What a clock is, and the one that runs everywhere: in Node, in pages, in workers.
import type { MaybePromise } from '@batchnorm/core-api';

/** All in seconds. Many short samples tell more than a few long ones: what disturbs one leaves the others alone. */
export interface Sampling {
  /**
   * Of calls before the first sample, which none counts: a training loop runs warm, and a processor that has just slept
   * finds neither its caches nor its clock frequency as they were.
   */
  readonly warmUp: number;
  /** Of one sample, at least: many calls of a fast case, one of a slow one. */
  readonly sampleTime: number;
  /** Of all samples together, at least. */
  readonly totalTime: number;
}

/** Seconds per call in each of some samples. Errors: those of `run`. */
export type Clock = (name: string, run: () => MaybePromise<void>, sampling: Sampling) => Promise<readonly number[]>;

/** Seconds since `performance.now()` was `begin`. */
export function secondsSince(begin: number): number {
  return (performance.now() - begin) / 1000;
}

/** What `work` gives, and the seconds that it took. Errors: those of `work`. */
export async function timed<T>(work: () => MaybePromise<T>): Promise<[result: T, seconds: number]> {
  const begin = performance.now();
  const result = await work();
  return [result, secondsSince(begin)];
}

/** Errors: those of `run`. */
export async function warmUp(run: () => MaybePromise<void>, { warmUp }: Pick<Sampling, 'warmUp'>): Promise<void> {
  const begin = performance.now();
  while (secondsSince(begin) < warmUp) await run();
}

/**
 * Seconds per call: the mean of as many calls as take `sampleTime` seconds, so that what one leaves to the next counts.
 * The clock is read whenever there are a quarter more of them, because reading it takes time, too. Errors: those of
 * `run`.
 */
export async function meanTime(run: () => MaybePromise<void>, sampleTime: number): Promise<number> {
  const begin = performance.now();
  for (let calls = 0; ; ) {
    for (const until = calls + 1 + (calls >> 2); calls < until; calls++) {
      const pending = run();
      if (pending !== undefined) await pending;
    }
    const seconds = secondsSince(begin);
    if (seconds >= sampleTime) return seconds / calls;
  }
}
