// Medians with intervals: bootstrap percentiles (Efron, 1979), seeded, so that the same samples give the same interval.
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { median, quantile } from 'simple-statistics';

export { logAverage as geometricMean, median, quantile } from 'simple-statistics';

/** A median, and the interval that its true value lies in with the probability that was asked for. */
export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 0.95. */
  readonly level?: number;
  /** Default 2000. */
  readonly resamples?: number;
}

/** Of independent samples. */
export function medianInterval(samples: readonly number[], options?: BootstrapOptions): Interval {
  return clusteredMedianInterval(
    samples.map((sample) => [sample]),
    options,
  );
}

/**
 * Of samples in clusters, such as those of one process: clusters are drawn with replacement, and then samples of each,
 * so that what a whole cluster has in common is not taken for precision.
 */
export function clusteredMedianInterval(
  clusters: readonly (readonly number[])[],
  { level = 0.95, resamples = 2000 }: BootstrapOptions = {},
): Interval {
  const generator = xoroshiro128plus(1);
  const draw = <T>(values: readonly T[]) => values.map(() => values[uniformInt(generator, 0, values.length - 1)]!);
  const medians = Array.from({ length: resamples }, () => median(draw(clusters).flatMap(draw)));
  return {
    median: median(clusters.flat()),
    low: quantile(medians, (1 - level) / 2),
    high: quantile(medians, (1 + level) / 2),
  };
}

/** numerator ÷ denominator, round by round, so that a slow round does not count. */
export function ratios(numerators: readonly number[], denominators: readonly number[]): number[] {
  return numerators.map((numerator, round) => numerator / denominators[round]!);
}
