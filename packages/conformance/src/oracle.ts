// The oracle: batch normalisation as its equations stand (docs/semantics.md), in float64 with compensated sums. Written
// to be read, shares nothing with any backend, and is checked against NumPy and PyTorch. Generated cases get their
// results here.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { float64Of, mapElements, meansOf, type OfElement } from './channels.js';

export interface OracleInput {
  readonly extent: Extent;
  readonly x: ArrayLike<number>;
  readonly gamma: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
  readonly epsilon: number;
  /** What normalises x. Default: the batch's own. */
  readonly statistics?: Statistics | undefined;
  /** Whether these depend on x, so that the gradient passes through them. Default: whether they are not given. */
  readonly throughStatistics?: boolean;
}

export interface OracleGradients {
  readonly dx: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Batch mean and population variance, [C] each. */
export function batchStatistics(values: ArrayLike<number>, extent: Extent): Statistics {
  const x = float64Of(values);
  // A second mean, of deviations from the first, corrects the rounding of the first.
  const rough = meansOf(extent, (k) => x[k]!);
  const correction = meansOf(extent, (k, c) => x[k]! - rough[c]!);
  const mean = rough.map((value, c) => value + correction[c]!);
  return { mean, variance: meansOf(extent, (k, c) => (x[k]! - mean[c]!) ** 2) };
}

/** y = gamma · xHat + beta, where xHat is 0 in a channel whose variance and epsilon are both 0. */
export function forward(input: OracleInput): Float64Array {
  const { extent } = input;
  const [gamma, beta] = [float64Of(input.gamma), float64Of(input.beta)];
  const xHat = xHatOf(input);
  return mapElements(extent, (k, c) => gamma[c]! * xHat(k, c) + beta[c]!);
}

/** dbeta = Σ dy, dgamma = Σ dy · xHat, and dx with or without what passes through the batch statistics. */
export function backward(input: OracleInput, upstream: ArrayLike<number>): OracleGradients {
  const { extent, epsilon, statistics = batchStatistics(input.x, extent) } = input;
  const { throughStatistics = input.statistics === undefined } = input;
  const M = valuesPerChannel(extent);
  const [gamma, dy] = [float64Of(input.gamma), float64Of(upstream)];
  const xHat = xHatOf({ ...input, statistics });
  const dyMean = meansOf(extent, (k) => dy[k]!);
  const dyXHatMean = meansOf(extent, (k, c) => dy[k]! * xHat(k, c));
  const through: OfElement = (k, c) => (throughStatistics ? dyMean[c]! + xHat(k, c) * dyXHatMean[c]! : 0);
  return {
    dx: mapElements(extent, (k, c) => {
      const deviation = Math.sqrt(statistics.variance[c]! + epsilon);
      return deviation === 0 ? 0 : (gamma[c]! / deviation) * (dy[k]! - through(k, c));
    }),
    dgamma: dyXHatMean.map((mean) => M * mean),
    dbeta: dyMean.map((mean) => M * mean),
  };
}

/** The xHat of element k, which is of channel c. */
function xHatOf({ x: values, extent, epsilon, statistics = batchStatistics(values, extent) }: OracleInput): OfElement {
  const x = float64Of(values);
  const { mean, variance } = statistics;
  const deviation = Float64Array.from(variance, (value) => Math.sqrt(value + epsilon));
  return (k, c) => (deviation[c] === 0 ? 0 : (x[k]! - mean[c]!) / deviation[c]!);
}
