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
  /** Which positions have a part in the batch's own statistics. Default: all. */
  readonly mask?: CountedPositions | undefined;
  /** Of x's shape: added to what was normalised. Default: nothing. */
  readonly residual?: ArrayLike<number> | undefined;
  /** Default: 'none'. */
  readonly activation?: Nonlinearity;
}

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
  const x = float64Of(values);
  // A second mean, of deviations from the first, corrects the rounding of the first.
  const rough = meansOf(extent, (k) => x[k]!, mask);
  const correction = meansOf(extent, (k, c) => x[k]! - rough[c]!, mask);
  const mean = rough.map((value, c) => value + correction[c]!);
  return { mean, variance: meansOf(extent, (k, c) => (x[k]! - mean[c]!) ** 2, mask) };
}

/** z = gamma · xHat + beta + residual, where xHat is 0 in a channel whose variance and epsilon are both 0. */
export function preactivation(input: OracleInput): Float64Array {
  const { extent } = input;
  const [gamma, beta] = [float64Of(input.gamma), float64Of(input.beta)];
  const residual = input.residual && float64Of(input.residual);
  const xHat = xHatOf(input);
  const normalized: OfElement = (k, c, p) => gamma[c]! * xHat(k, c, p) + beta[c]!;
  return mapElements(extent, residual ? (k, c, p) => normalized(k, c, p) + residual[k]! : normalized);
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
  return values.map((value, k) => (z[k]! <= 0 ? 0 : value));
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
  const xHat = xHatOf({ ...input, statistics });
  const gMean = meansOf(extent, (k) => g[k]!);
  const gXHatMean = meansOf(extent, (k, c, p) => g[k]! * xHat(k, c, p));
  const through: OfElement = (k, c, p) =>
    throughStatistics && mask?.positions[p] !== 0 ? share * (gMean[c]! + xHat(k, c, p) * gXHatMean[c]!) : 0;
  return {
    dx: mapElements(extent, (k, c, p) => {
      const deviation = Math.sqrt(statistics.variance[c]! + epsilon);
      return deviation === 0 ? 0 : (gamma[c]! / deviation) * (g[k]! - through(k, c, p));
    }),
    dresidual: g,
    dgamma: gXHatMean.map((mean) => all * mean),
    dbeta: gMean.map((mean) => all * mean),
  };
}

/** The xHat of element k, which is of channel c. */
function xHatOf(input: OracleInput): OfElement {
  const { extent, epsilon, mask, statistics = batchStatistics(input.x, extent, mask) } = input;
  const x = float64Of(input.x);
  const { mean, variance } = statistics;
  const deviation = Float64Array.from(variance, (value) => Math.sqrt(value + epsilon));
  return (k, c) => (deviation[c] === 0 ? 0 : (x[k]! - mean[c]!) / deviation[c]!);
}
