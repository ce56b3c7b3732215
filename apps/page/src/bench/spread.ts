// What rounds of timing say: a median, and the range that eight of ten rounds lie in.
import { median, quantile } from 'simple-statistics';
import type { Timing } from '../visit/visit.js';

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sample = [...values];
  return { median: median(sample), low: quantile(sample, 0.1), high: quantile(sample, 0.9) };
}

/** The share of the copy limit that was reached, round by round: 1 is as fast as a copy of the same bytes. */
export function shareOfLimit({ seconds, limits }: Timing): Spread {
  return spreadOf(seconds.map((time, round) => limits[round]! / time));
}
