// The oracle: batch normalisation as its equations stand (docs/semantics.md), in float64 with compensated sums. Written to be
// read, shares nothing with any backend, and is checked against NumPy and PyTorch. Generated cases get their results here.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { channelOf, meanOver } from './channels.js';

export interface OracleInput {
  readonly extent: Extent;
  readonly x: ArrayLike<number>;
  readonly gamma: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
  readonly epsilon: number;
  /** Running statistics in inference; without, the batch's own. */
  readonly statistics?: Statistics | undefined;
}

export interface OracleGradients {
  readonly dx: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Batch mean and population variance, [C] each. */
export function batchStatistics(x: ArrayLike<number>, extent: Extent): Statistics {
  const [mean, variance] = [new Float64Array(extent.channels), new Float64Array(extent.channels)];
  for (let c = 0; c < extent.channels; c++) {
    // The mean of what is left after a first mean: what rounding took from the first, the second gives back.
    const rough = meanOver(c, extent, (k) => x[k]!);
    const m = rough + meanOver(c, extent, (k) => x[k]! - rough);
    mean[c] = m;
    variance[c] = meanOver(c, extent, (k) => (x[k]! - m) ** 2);
  }
  return { mean, variance };
}

/** y = gamma · xHat + beta */
export function forward(input: OracleInput): Float64Array {
  const { extent, x, gamma, beta } = input;
  const xHat = xHatOf(input);
  return Float64Array.from({ length: x.length }, (_, k) => {
    const c = channelOf(k, extent);
    return gamma[c]! * xHat(k) + beta[c]!;
  });
}

/** dbeta = Σ dy, dgamma = Σ dy · xHat, and dx with or without what passes through the batch statistics. */
export function backward(input: OracleInput, dy: ArrayLike<number>): OracleGradients {
  const { extent, gamma, epsilon, statistics = batchStatistics(input.x, extent) } = input;
  const M = valuesPerChannel(extent);
  const xHat = xHatOf({ ...input, statistics });
  const channels = Array.from({ length: extent.channels }, (_, c) => ({
    dyMean: meanOver(c, extent, (k) => dy[k]!),
    dyXHatMean: meanOver(c, extent, (k) => dy[k]! * xHat(k)),
  }));
  const dx = Float64Array.from({ length: dy.length }, (_, k) => {
    const c = channelOf(k, extent);
    const { dyMean, dyXHatMean } = channels[c]!;
    const through = input.statistics ? 0 : dyMean + xHat(k) * dyXHatMean;
    return (gamma[c]! / Math.sqrt(statistics.variance[c]! + epsilon)) * (dy[k]! - through);
  });
  return {
    dx,
    dgamma: Float64Array.from(channels, ({ dyXHatMean }) => M * dyXHatMean),
    dbeta: Float64Array.from(channels, ({ dyMean }) => M * dyMean),
  };
}

function xHatOf({ x, extent, epsilon, statistics = batchStatistics(x, extent) }: OracleInput): (k: number) => number {
  const { mean, variance } = statistics;
  return (k) => {
    const c = channelOf(k, extent);
    return (x[k]! - mean[c]!) / Math.sqrt(variance[c]! + epsilon);
  };
}
