// Times many cases in one benny run, in rounds: whatever else the machine does then falls on all of them alike.
import benny from 'benny';
import { median, quantile } from 'simple-statistics';

export interface Case {
  readonly name: string;
  readonly run: () => unknown;
}

/** Seconds per call in each round, the median of that round's samples. */
export type Rounds = readonly number[];

export interface TimingOptions {
  readonly rounds: number;
  /** Seconds of one sample, at least: many calls of a fast case, one of a slow one. */
  readonly sampleTime: number;
  readonly onProgress?: (done: number) => void;
}

/** The times of each case, in the order of `cases`. */
export async function time(
  name: string,
  cases: readonly Case[],
  { rounds, sampleTime, onProgress }: TimingOptions,
): Promise<Rounds[]> {
  const options = { minTime: sampleTime, maxTime: 3 * sampleTime, minSamples: 3, delay: 0, initCount: 1 };
  let done = 0;
  const interleaved = Array.from({ length: rounds }, (_, round) =>
    cases.map((one) => benny.add(`${one.name}, round ${round + 1}`, () => void one.run(), options)),
  );
  const summary = await benny.suite(
    name,
    ...interleaved.flat(),
    benny.cycle(() => void onProgress?.(++done)),
  );
  return cases.map((_, index) =>
    Array.from({ length: rounds }, (_, round) => summary.results[round * cases.length + index]!.details.median),
  );
}

/** A median with the range that eight of ten rounds lie in. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sample = [...values];
  return { median: median(sample), low: quantile(sample, 0.1), high: quantile(sample, 0.9) };
}

/** How many times faster `times` is than `reference`, round by round. */
export function speedup(reference: Rounds, times: Rounds): Spread {
  return spreadOf(times.map((seconds, round) => reference[round]! / seconds));
}
