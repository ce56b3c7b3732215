// The oracle: batch normalisation as its equations stand (docs/semantics.md), in float64 with compensated sums. Written
// to be read, shares nothing with any backend, and is checked against NumPy and PyTorch. Generated cases get their
// results here.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { channelsOf, float64Of, meansOf } from './channels.js';

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
  const [x, channel] = [float64Of(values), channelsOf(extent)];
  const terms = new Float64Array(x.length);
  // A second mean, of deviations from the first, corrects the rounding of the first.
  const rough = meansOf(x, extent);
  for (let k = 0; k < x.length; k++) terms[k] = x[k]! - rough[channel[k]!]!;
  const correction = meansOf(terms, extent);
  const mean = rough.map((value, c) => value + correction[c]!);
  for (let k = 0; k < x.length; k++) terms[k] = (x[k]! - mean[channel[k]!]!) ** 2;
  return { mean, variance: meansOf(terms, extent) };
}

/** y = gamma · xHat + beta, where xHat is 0 in a channel whose variance and epsilon are both 0. */
export function forward(input: OracleInput): Float64Array {
  const [gamma, beta] = [float64Of(input.gamma), float64Of(input.beta)];
  const [xHat, channel] = [xHatOf(input), channelsOf(input.extent)];
  const y = new Float64Array(xHat.length);
  for (let k = 0; k < y.length; k++) {
    const c = channel[k]!;
    y[k] = gamma[c]! * xHat[k]! + beta[c]!;
  }
  return y;
}

/** dbeta = Σ dy, dgamma = Σ dy · xHat, and dx with or without what passes through the batch statistics. */
export function backward(input: OracleInput, upstream: ArrayLike<number>): OracleGradients {
  const { extent, epsilon, statistics = batchStatistics(input.x, extent) } = input;
  const { throughStatistics = input.statistics === undefined } = input;
  const M = valuesPerChannel(extent);
  const [gamma, dy] = [float64Of(input.gamma), float64Of(upstream)];
  const [xHat, channel] = [xHatOf({ ...input, statistics }), channelsOf(extent)];
  const dyXHat = new Float64Array(dy.length);
  for (let k = 0; k < dy.length; k++) dyXHat[k] = dy[k]! * xHat[k]!;
  const [dyMean, dyXHatMean] = [meansOf(dy, extent), meansOf(dyXHat, extent)];
  const deviation = deviationsOf(statistics, epsilon);
  const dx = new Float64Array(dy.length);
  for (let k = 0; k < dx.length; k++) {
    const c = channel[k]!;
    const through = throughStatistics ? dyMean[c]! + xHat[k]! * dyXHatMean[c]! : 0;
    dx[k] = deviation[c] === 0 ? 0 : (gamma[c]! / deviation[c]!) * (dy[k]! - through);
  }
  return { dx, dgamma: dyXHatMean.map((mean) => M * mean), dbeta: dyMean.map((mean) => M * mean) };
}

/** The xHat of every element. */
function xHatOf(input: OracleInput): Float64Array {
  const { extent, epsilon, statistics = batchStatistics(input.x, extent) } = input;
  const [x, mean, channel] = [float64Of(input.x), float64Of(statistics.mean), channelsOf(extent)];
  const deviation = deviationsOf(statistics, epsilon);
  const xHat = new Float64Array(x.length);
  for (let k = 0; k < x.length; k++) {
    const c = channel[k]!;
    xHat[k] = deviation[c] === 0 ? 0 : (x[k]! - mean[c]!) / deviation[c]!;
  }
  return xHat;
}

/** √(variance + epsilon), [C] */
function deviationsOf({ variance }: Statistics, epsilon: number): Float64Array {
  return float64Of(variance).map((value) => Math.sqrt(value + epsilon));
}
