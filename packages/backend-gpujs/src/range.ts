// What float32 has room for: by what the kernels, which have nothing else, can normalise a channel.
import type { Statistics } from '@batchnorm/core-api';

/** gamma, beta and epsilon of a layer, as they were when it called; [C] each. */
export interface Parameters {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
}

/** What y = gamma · (x − mean) · invStd + beta is made of, [C] each. */
export interface Normalizer {
  readonly mean: Float64Array;
  readonly invStd: Float64Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

/** The smallest float32 of 24 digits: GPUs may take what is below for 0. */
export const smallestNormal: number = 2 ** -126;

/** variance + epsilon must be this at least: then what its squares lose to the smallest number is no digit of it. */
export const leastVariance: number = 2 ** -98;

/** And at most this, as must be the sum of the squares. */
export const largestVariance: number = 2 ** 126;

/** Coefficients must be this at most: then nothing overflows that is not larger than any float32 in the end. */
export const largestCoefficient: number = 2 ** 100;

/** 1/√(variance + epsilon), and 0 in a constant channel without epsilon. */
export function invStdOf(variance: number, epsilon: number): number {
  return variance + epsilon === 0 ? 0 : 1 / Math.sqrt(variance + epsilon);
}

export function normalizerOf({ mean, variance }: Statistics, { gamma, beta, epsilon }: Parameters): Normalizer {
  return { mean: mean.slice(), invStd: variance.map((value) => invStdOf(value, epsilon)), gamma, beta };
}

/** An epsilon as kernels know it. */
export function float32Epsilon(epsilon: number): number {
  return epsilon < smallestNormal ? 0 : Math.fround(epsilon);
}

/**
 * Whether kernels can normalise channel `c` by the variance of its batch of M values. Where they can't, they answer NaN, in every
 * element: the kernel `coefficients` asks the same of what it has, which is larger by the distance of the pivot, a deviation or two.
 */
export function fitsBatch(
  { variance }: Statistics,
  { gamma, beta, epsilon }: Parameters,
  M: number,
  c: number,
): boolean {
  const ofSquare = variance[c]! + epsilon;
  const isConstant = variance[c] === 0 && (epsilon === 0 || epsilon >= smallestNormal);
  return (
    (isConstant || ofSquare >= leastVariance) &&
    Math.max(ofSquare, 4 * M * variance[c]!) <= largestVariance &&
    isCoefficient(gamma[c]! * invStdOf(variance[c]!, epsilon)) &&
    isCoefficient(4 * gamma[c]!) &&
    isCoefficient(beta[c]!)
  );
}

/** Whether kernels can normalise channel `c` so, and no coefficient loses digits. */
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
