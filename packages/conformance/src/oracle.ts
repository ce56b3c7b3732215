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
import { isCounted, mapElements, meanOver } from './channels.js';

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
  readonly dresidual: ArrayLike<number>;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Mean and population variance, [C] each, of a batch or of the positions of it that count. */
export function batchStatistics(x: ArrayLike<number>, extent: Extent, mask?: CountedPositions | undefined): Statistics {
  const [mean, variance] = [new Float64Array(extent.channels), new Float64Array(extent.channels)];
  for (let c = 0; c < extent.channels; c++) {
    // A second mean, of deviations from the first, corrects the rounding of the first.
    const rough = meanOver(c, extent, (k) => x[k]!, mask);
    const m = rough + meanOver(c, extent, (k) => x[k]! - rough, mask);
    mean[c] = m;
    variance[c] = meanOver(c, extent, (k) => (x[k]! - m) ** 2, mask);
  }
  return { mean, variance };
}

/** z = gamma · xHat + beta + residual, where xHat is 0 in a channel whose variance and epsilon are both 0. */
export function preactivation(input: OracleInput): Float64Array {
  const { extent, gamma, beta, residual } = input;
  const xHat = xHatOf(input);
  if (residual === undefined) return mapElements(extent, (k, c) => gamma[c]! * xHat(k, c) + beta[c]!);
  return mapElements(extent, (k, c) => gamma[c]! * xHat(k, c) + beta[c]! + residual[k]!);
}

/** y: z, and behind 'relu' 0 where z ≤ 0. */
export function forward(input: OracleInput): Float64Array {
  const z = preactivation(input);
  return input.activation === 'relu' ? whereNotOff(z, z) : z;
}

/** Values where z is positive or NaN, 0 where z ≤ 0: of z they are y behind 'relu', of dy they are g. */
function whereNotOff(values: ArrayLike<number>, z: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, (value, k) => (z[k]! <= 0 ? 0 : value));
}

/**
 * dbeta = Σ g, dgamma = Σ g · xHat, and dx with or without what passes through the batch statistics, which have M values
 * in them: no gradient passes through them to a position that does not count. Behind 'relu' g is 0 where `z` ≤ 0, by
 * default that of `input`; elsewhere it is dy.
 */
export function backward(input: OracleInput, dy: ArrayLike<number>, z?: ArrayLike<number>): OracleGradients {
  const { extent, gamma, epsilon, mask, statistics = batchStatistics(input.x, extent, mask) } = input;
  const { throughStatistics = input.statistics === undefined } = input;
  const g = input.activation === 'relu' ? whereNotOff(dy, z ?? preactivation({ ...input, statistics })) : dy;
  const all = valuesPerChannel(extent);
  /** Of a mean over all values, for each of the M that the statistics are of. */
  const share = mask === undefined ? 1 : all / mask.count;
  const xHat = xHatOf({ ...input, statistics });
  const means = (term: (k: number, c: number) => number) =>
    Float64Array.from({ length: extent.channels }, (_, c) => meanOver(c, extent, (k) => term(k, c)));
  const gMean = means((k) => g[k]!);
  const gXHatMean = means((k, c) => g[k]! * xHat(k, c));
  const through = (k: number, c: number) =>
    throughStatistics && isCounted(k, extent, mask) ? share * (gMean[c]! + xHat(k, c) * gXHatMean[c]!) : 0;
  return {
    dx: mapElements(extent, (k, c) => {
      const deviation = Math.sqrt(statistics.variance[c]! + epsilon);
      return deviation === 0 ? 0 : (gamma[c]! / deviation) * (g[k]! - through(k, c));
    }),
    dresidual: g,
    dgamma: gXHatMean.map((mean) => all * mean),
    dbeta: gMean.map((mean) => all * mean),
  };
}

/** The xHat of element k, which is of channel c. */
function xHatOf(input: OracleInput): (k: number, c: number) => number {
  const { x, extent, epsilon, mask, statistics = batchStatistics(x, extent, mask) } = input;
  const { mean, variance } = statistics;
  const deviation = Float64Array.from(variance, (value) => Math.sqrt(value + epsilon));
  return (k, c) => (deviation[c] === 0 ? 0 : (x[k]! - mean[c]!) / deviation[c]!);
}
