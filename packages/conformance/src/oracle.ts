// The oracle: batch normalisation as its equations stand (docs/semantics.md), in float64 with compensated sums. Written
// to be read, shares nothing with any backend, and is checked against NumPy and PyTorch. Generated cases get their
// results here.
import {
  type CountedPositions,
  type Extent,
  type Nonlinearity,
  type Statistics,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { channelsOf, countsOf, float64Of, meansOf } from './channels.js';

/** A batch, and by what it is normalised. */
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
  /** Which positions have a part in the batch's own statistics. Default: all. */
  readonly mask?: CountedPositions | undefined;
  /** Of x's shape: added to what was normalised. Default: nothing. */
  readonly residual?: ArrayLike<number> | undefined;
  /** Default: 'none'. */
  readonly activation?: Nonlinearity;
}

/** What a backward must give. */
export interface OracleGradients {
  readonly dx: Float64Array;
  /** g, the gradient of z: that of a residual, if there is one. */
  readonly dresidual: Float64Array;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Mean and population variance, [C] each, of a batch or of the positions of it that count. */
export function batchStatistics(
  values: ArrayLike<number>,
  extent: Extent,
  mask?: CountedPositions | undefined,
): Statistics {
  const [x, channel] = [float64Of(values), channelsOf(extent)];
  const terms = new Float64Array(x.length);
  // A second mean, of deviations from the first, corrects the rounding of the first.
  const rough = meansOf(x, extent, { mask });
  for (let k = 0; k < x.length; k++) terms[k] = x[k]! - rough[channel[k]!]!;
  const correction = meansOf(terms, extent, { mask });
  const mean = rough.map((value, c) => value + correction[c]!);
  for (let k = 0; k < x.length; k++) terms[k] = x[k]! - mean[channel[k]!]!;
  return { mean, variance: meansOf(terms, extent, { factors: terms, mask }) };
}

/** z = gamma · xHat + beta + residual, where xHat is 0 in a channel whose variance and epsilon are both 0. */
export function preactivation(input: OracleInput): Float64Array {
  const [gamma, beta] = [float64Of(input.gamma), float64Of(input.beta)];
  const [xHat, channel] = [xHatOf(input), channelsOf(input.extent)];
  const z = new Float64Array(xHat.length);
  for (let k = 0; k < z.length; k++) {
    const c = channel[k]!;
    z[k] = gamma[c]! * xHat[k]! + beta[c]!;
  }
  const residual = input.residual && float64Of(input.residual);
  if (residual) for (let k = 0; k < z.length; k++) z[k]! += residual[k]!;
  return z;
}

/** y: z, and behind 'relu' 0 where z ≤ 0. */
export function forward(input: OracleInput): Float64Array {
  return activated(preactivation(input), input.activation);
}

/** y of z. */
export function activated(z: Float64Array, activation: Nonlinearity | undefined): Float64Array {
  return activation === 'relu' ? unlessOff(z, z) : z;
}

/** `values`, but 0 where z ≤ 0: of z they are y behind 'relu', of dy they are g. */
function unlessOff(values: Float64Array, z: ArrayLike<number>): Float64Array {
  const passed = values.slice();
  for (let k = 0; k < passed.length; k++) if (z[k]! <= 0) passed[k] = 0;
  return passed;
}

/**
 * dbeta = Σ g, dgamma = Σ g · xHat, and dx with or without what passes through the batch statistics, in which only
 * positions that count have a part. Behind 'relu' g is 0 where `z` ≤ 0, by default that of `input`; elsewhere it is dy.
 */
export function backward(input: OracleInput, dy: ArrayLike<number>, z?: ArrayLike<number>): OracleGradients {
  const { extent, epsilon, mask, statistics = batchStatistics(input.x, extent, mask) } = input;
  const { throughStatistics = input.statistics === undefined } = input;
  const all = valuesPerChannel(extent);
  /** Makes a mean over all values a sum over all, divided by the M that count. */
  const share = mask === undefined ? 1 : all / mask.count;
  const [gamma, upstream] = [float64Of(input.gamma), float64Of(dy)];
  const g = input.activation === 'relu' ? unlessOff(upstream, z ?? preactivation({ ...input, statistics })) : upstream;
  const [xHat, channel] = [xHatOf({ ...input, statistics }), channelsOf(extent)];
  const [gMean, gXHatMean] = [meansOf(g, extent), meansOf(g, extent, { factors: xHat })];
  const counts = mask && countsOf(extent, mask);
  const deviation = deviationsOf(statistics, epsilon);
  const dx = new Float64Array(g.length);
  for (let k = 0; k < dx.length; k++) {
    const c = channel[k]!;
    const isThrough = throughStatistics && counts?.[k] !== 0;
    const through = isThrough ? share * (gMean[c]! + xHat[k]! * gXHatMean[c]!) : 0;
    const within = g[k]! - through;
    // invStd is 0 there, and 0 times what is not finite is NaN.
    dx[k] = deviation[c] === 0 ? 0 * Math.abs(within) : (gamma[c]! / deviation[c]!) * within;
  }
  return {
    ...{ dx, dresidual: g },
    dgamma: gXHatMean.map((mean) => all * mean),
    dbeta: gMean.map((mean) => all * mean),
  };
}

/** The xHat of every element. */
function xHatOf(input: OracleInput): Float64Array {
  const { extent, epsilon, mask, statistics = batchStatistics(input.x, extent, mask) } = input;
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
