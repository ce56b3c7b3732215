// How far merged moments may be from those of all values: docs/numerics.md, “Merged moments”.
import type { Moments } from '../src/index.js';

/** Unit roundoff of float64. */
export const w = 2 ** -53;

/** The errors of the parts: of a mean, absolute, and of m2, relative. */
export interface PartErrors {
  readonly mean: number;
  readonly m2: number;
}

/** The largest errors of channel c after `depth` merges in a row. The golden side has one rounding of its own. */
export function mergeBound(parts: readonly Moments[], depth: number, whole: Moments, c: number, errors: PartErrors) {
  const means = parts.filter(({ count }) => count > 0).map(({ mean }) => mean[c]!);
  const largest = Math.max(...means.map(Math.abs));
  const range = Math.max(...means) - Math.min(...means);
  const [N, m2] = [whole.count, whole.m2[c]!];
  const ofMean = errors.mean + depth * (largest + 3 * range) * w;
  const ofDeltas = 2 * Math.sqrt(depth * N * m2) * ofMean + N * depth * ofMean ** 2;
  return { mean: ofMean + w * largest, m2: (errors.m2 + (2 * depth + 5) * w) * m2 + ofDeltas + w * m2 };
}
