// The formulas as they stand, on an extent, in float64, with compensated sums: what every kernel is compared with.
import { type Extent, valuesPerChannel } from '@batchnorm/core-api';

export interface Problem {
  readonly extent: Extent;
  readonly x: ArrayLike<number>;
  readonly dy: ArrayLike<number>;
  readonly gamma: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
  readonly epsilon: number;
}

/** Training forward and backward; or, given running statistics, inference and its backward. */
export function reference(problem: Problem, running?: { mean: ArrayLike<number>; variance: ArrayLike<number> }) {
  const { extent, x, dy, gamma, beta, epsilon } = problem;
  const M = valuesPerChannel(extent);
  const C = extent.channels;
  const channelOf = (k: number) => Math.floor(k / extent.inner) % C;
  const elements = Array.from({ length: M * C }, (_, k) => k);
  /** Neumaier's compensated sums. */
  const sums = (term: (k: number, c: number) => number) => {
    const totals = new Array<number>(C).fill(0);
    const lost = new Array<number>(C).fill(0);
    for (const k of elements) {
      const c = channelOf(k);
      const [total, value] = [totals[c]!, term(k, c)];
      const next = total + value;
      lost[c]! += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
      totals[c] = next;
    }
    return totals.map((total, c) => total + lost[c]!);
  };
  const rough = sums((k) => x[k]! / M);
  const batchMean = sums((k, c) => (x[k]! - rough[c]!) / M).map((rest, c) => rough[c]! + rest);
  const batchVariance = sums((k, c) => (x[k]! - batchMean[c]!) ** 2 / M);
  const { mean, variance } = running ?? { mean: batchMean, variance: batchVariance };

  /** A constant channel without epsilon has no deviations to divide: any finite factor is right. */
  const invStd = (c: number) => (variance[c]! + epsilon === 0 ? 0 : 1 / Math.sqrt(variance[c]! + epsilon));
  const xHat = (k: number, c: number) => (x[k]! - mean[c]!) * invStd(c);
  const dgamma = sums((k, c) => dy[k]! * xHat(k, c));
  const dbeta = sums((k) => dy[k]!);
  const through = running ? 0 : 1 / M;
  return {
    mean: batchMean,
    variance: batchVariance,
    scale: Array.from({ length: C }, (_, c) => gamma[c]! * invStd(c)),
    dgamma,
    dbeta,
    y: elements.map((k) => gamma[channelOf(k)]! * xHat(k, channelOf(k)) + beta[channelOf(k)]!),
    dx: elements.map((k) => {
      const c = channelOf(k);
      return gamma[c]! * invStd(c) * (dy[k]! - through * (dbeta[c]! + xHat(k, c) * dgamma[c]!));
    }),
    xHat: elements.map((k) => xHat(k, channelOf(k))),
  };
}
