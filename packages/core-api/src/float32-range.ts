// The range of float32: by which statistics and parameters the GPU kernels, which know no other numbers, can normalise
// a channel.
import { refuse } from './errors.js';
import type { Moments, Statistics } from './moments.js';

/** gamma and beta, [C] each, and epsilon of a layer, as they were when it called. */
export interface Parameters {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
}

/** The vectors of y = gamma · (x − mean) · invStd + beta, [C] each. */
export interface Normalizer {
  readonly mean: Float64Array;
  readonly invStd: Float64Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

/** The smallest normal float32: GPUs may take smaller numbers for 0. */
export const smallestNormal: number = 2 ** -126;

/** The least variance + epsilon: then squares that lose digits below the smallest normal number cost it no digit. */
export const leastVariance: number = 2 ** -98;

/** The largest variance + epsilon, and the largest sum of squares. */
export const largestVariance: number = 2 ** 126;

/** The largest coefficient: then intermediate numbers overflow only where the result is beyond float32, too. */
export const largestCoefficient: number = 2 ** 100;

/** 1/√(variance + epsilon); 0 for a constant channel without epsilon. */
export function invStdOf(variance: number, epsilon: number): number {
  return variance + epsilon === 0 ? 0 : 1 / Math.sqrt(variance + epsilon);
}

/** Mean, 1/√(variance + epsilon), gamma and beta, by which a forward with these statistics normalises. */
export function normalizerOf({ mean, variance }: Statistics, { gamma, beta, epsilon }: Parameters): Normalizer {
  return { mean, invStd: variance.map((value) => invStdOf(value, epsilon)), gamma, beta };
}

/** epsilon as GPU kernels get it. */
export function float32Epsilon(epsilon: number): number {
  return epsilon < smallestNormal ? 0 : Math.fround(epsilon);
}

/**
 * Whether GPU kernels can hold the squares of M values of this variance, and normalise by it. Where they can't, all of y
 * is NaN: the kernel `coefficients` asks the same of its own sums, which are larger, because their pivot is up to two
 * deviations from the mean.
 */
export function fitsVariance(variance: number, epsilon: number, M: number): boolean {
  const ofSquare = variance + epsilon;
  const isConstant = variance === 0 && (epsilon === 0 || epsilon >= smallestNormal);
  return (isConstant || ofSquare >= leastVariance) && Math.max(ofSquare, 4 * M * variance) <= largestVariance;
}

/** Whether the coefficients that GPU kernels make of a variance that fits, and of these parameters, fit, too. */
export function fitsParameters(variance: number, { gamma, beta, epsilon }: Parameters, c: number): boolean {
  return (
    isCoefficient(gamma[c]! * invStdOf(variance, epsilon)) && isCoefficient(4 * gamma[c]!) && isCoefficient(beta[c]!)
  );
}

/** Whether GPU kernels can normalise channel `c` by these vectors, and no coefficient loses digits. */
export function fitsFloat32({ mean, invStd, gamma, beta }: Normalizer, c: number): boolean {
  const scale = gamma[c]! * invStd[c]!;
  return (
    isCoefficient(mean[c]!) &&
    isCoefficient(beta[c]!) &&
    isCoefficient(invStd[c]!) &&
    isCoefficient(scale) &&
    isNormal(gamma[c]!) &&
    isNormal(invStd[c]!) &&
    isNormal(scale)
  );
}

function isCoefficient(value: number): boolean {
  return Math.abs(value) <= largestCoefficient;
}

function isNormal(value: number): boolean {
  return value === 0 || Math.abs(value) >= smallestNormal;
}

/** Errors: `NON_FINITE_STATISTICS` where the variance is finite, but shaders made coefficients of NaN. */
export function assertNormalizable({ count, m2 }: Moments, epsilon: number, normalizedBy: readonly Parameters[]): void {
  m2.forEach((square, c) => {
    const variance = square / count;
    if (!Number.isFinite(variance)) return;
    const received = `a batch of variance ${variance} in channel ${c}`;
    const expected = 'what float32 can normalise';
    if (!fitsVariance(variance, float32Epsilon(epsilon), count)) refuse('NON_FINITE_STATISTICS', received, expected);
    for (const { gamma, beta, epsilon } of normalizedBy) {
      if (!Number.isFinite(gamma[c]) || !Number.isFinite(beta[c])) continue;
      if (fitsParameters(variance, { gamma, beta, epsilon: float32Epsilon(epsilon) }, c)) continue;
      refuse('NON_FINITE_STATISTICS', `${received}, with gamma ${gamma[c]} and beta ${beta[c]}`, expected);
    }
  });
}
