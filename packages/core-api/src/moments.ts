// The moments of values per channel: what mean and variance are made of.
import { refuse } from './errors.js';

/** Of `count` values in each channel. */
export interface Moments {
  readonly count: number;
  /** [C] */
  readonly mean: Float64Array;
  /** Σ (x − mean)², [C]. */
  readonly m2: Float64Array;
}

/** Mean and population variance, [C] each. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Mean and population variance, in vectors of their own. */
export function statisticsOf({ count, mean, m2 }: Moments): Statistics {
  return { mean: mean.slice(), variance: m2.map((square) => square / count) };
}

/** Errors: `NON_FINITE_STATISTICS`, which names the first channel whose mean or variance is NaN or infinite. */
export function assertFiniteMoments({ count, mean, m2 }: Moments): void {
  for (let c = 0; c < mean.length; c++) {
    if (!Number.isFinite(mean[c])) refuseMoment('mean', c, mean[c]!);
    if (!Number.isFinite(m2[c]! / count)) refuseMoment('variance', c, m2[c]! / count);
  }
}

function refuseMoment(name: string, c: number, value: number): never {
  refuse(
    'NON_FINITE_STATISTICS',
    `a batch whose ${name} of channel ${c} is ${value}`,
    'finite values: it would poison the running statistics',
  );
}
