// Interleaving: every case once in each round, in an order of its own for each round, so that whatever else the machine
// does falls on all of them alike.
import { setTimeout as pause } from 'node:timers/promises';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { secondsSince } from './clock.js';
import { median } from './statistics.js';

/**
 * Before each turn: the threads of the one before, PyTorch's and ours, look for work for some time before they sleep. A
 * Ctrl-C is heard then, too, which benny's synchronous cases would leave unheard.
 */
const pauseMs = 10;

export interface Timed {
  /** Seconds per call of some samples. */
  readonly sample: () => Promise<readonly number[]>;
}

export interface RoundsOptions {
  readonly rounds: number;
  /** Seconds after which no round begins, but for the first three. */
  readonly budget?: number | undefined;
  readonly onSample?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** The median of each case's samples in each round. Errors: those of the samples; the signal's reason. */
export async function inRounds(
  cases: readonly Timed[],
  { rounds, budget = Number.POSITIVE_INFINITY, onSample, signal }: RoundsOptions,
): Promise<number[][]> {
  const times: number[][] = cases.map(() => []);
  const begin = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round >= 3 && secondsSince(begin) > budget) break;
    for (const index of shuffled(cases.length, round)) {
      await pause(pauseMs);
      signal?.throwIfAborted();
      times[index]!.push(median([...(await cases[index]!.sample())]));
      onSample?.();
    }
  }
  return times;
}

/** 0 … length − 1 in an order that `seed` determines (Fisher and Yates). */
export function shuffled(length: number, seed: number): number[] {
  const generator = xoroshiro128plus(seed);
  const order = Array.from({ length }, (_, index) => index);
  for (let last = length - 1; last > 0; last--) {
    const other = uniformInt(generator, 0, last);
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
