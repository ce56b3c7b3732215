// Slower, or not, or too noisy to tell: what an interval of ratios says.
import { clusteredMedianInterval, type Interval } from '../timing/statistics.js';

export type Answer = 'slower' | 'faster' | 'unchanged' | 'too noisy to tell';

export interface Verdict {
  readonly answer: Answer;
  /** head ÷ base, with its 99 % interval. */
  readonly ratio: Interval;
}

/**
 * A comparison has dozens of cases. At 0.99 one of them would be a false alarm in every few comparisons: so what is
 * slower is measured again (see compare.ts).
 */
const level = 0.99;

/**
 * Of ratios head ÷ base, in one cluster for each pair of processes. `threshold` 0.1: slower is what surely takes more
 * than 1.1 times as long, faster what surely takes less than 1 / 1.1 of it, and unchanged what is surely not slower.
 */
export function judge(clusters: readonly (readonly number[])[], threshold: number): Verdict {
  const ratio = clusteredMedianInterval(clusters, { level });
  return { answer: answerOf(ratio, 1 + threshold), ratio };
}

function answerOf({ low, high }: Interval, limit: number): Answer {
  if (low > limit) return 'slower';
  if (high > limit) return 'too noisy to tell';
  return high < 1 / limit ? 'faster' : 'unchanged';
}
