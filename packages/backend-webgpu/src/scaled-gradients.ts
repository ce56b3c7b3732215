// Gradients on the host whose terms float32 can't hold, because dy is too large or too small: they are linear in dy, so
// that they are computed once more of dy times a power of two for each channel, which costs no digit.
import { type Extent, everyIndex, type FloatArray, type GradientSums } from '@batchnorm/core-api';
import { largestCoefficient, type Normalizer, smallestNormal } from '@batchnorm/core-api/float32-range';
import { largest } from './held.js';

/** What a backward knows of its forward. */
export interface SeenForward {
  readonly x: FloatArray;
  readonly by: Normalizer;
  /** How many values were normalised together. */
  readonly count: number;
}

/** What a backward computed; undefined is what was not asked for. */
export interface SeenGradients {
  readonly sums: GradientSums | undefined;
  readonly dx: FloatArray | undefined;
  readonly dresidual: FloatArray | undefined;
}

/** By which power of two dy is to be multiplied, for each channel where that is needed. */
export type Exponents = ReadonlyMap<number, number>;

/**
 * For channels of finite x and dy whose results are not finite, or have lost digits below the smallest normal number:
 * exponents by which the largest |dy| becomes about 1.
 */
export function exponentsFor(
  extent: Extent,
  { x, by, count }: SeenForward,
  dy: FloatArray,
  through: GradientSums | undefined,
  { sums, dx }: SeenGradients,
): Exponents {
  const exponents = new Map<number, number>();
  const seen = through ?? sums;
  if (seen === undefined) return exponents;
  for (let c = 0; c < extent.channels; c++) {
    const [invStd, scale] = [by.invStd[c]!, Math.abs(by.gamma[c]! * by.invStd[c]!)];
    const isGiven = seen !== sums;
    if (!Number.isFinite(by.mean[c]) || !Number.isFinite(scale)) continue;
    if (isGiven && !(Number.isFinite(seen.dgamma[c]) && Number.isFinite(seen.dbeta[c]))) continue;
    const least = count * smallestNormal * 2 ** 24 * Math.max(1, invStd, 1 / (invStd || 1));
    const most = largestCoefficient / Math.max(1, scale, invStd);
    const sum = Math.max(Math.abs(seen.dgamma[c]!), Math.abs(seen.dbeta[c]!));
    if (sum >= least && sum <= most) continue;
    const size = largest(dy, extent, c);
    if (!(size < Number.POSITIVE_INFINITY) || !(largest(x, extent, c) < Number.POSITIVE_INFINITY)) continue;
    // Positive and negative gradients may cancel to a small sum: then nothing was lost.
    const all = Math.max(size, Number.isFinite(sum) ? sum / count : 0);
    const isSmall = all > 0 && all < least;
    const isHeld = Number.isFinite(sum) && (dx === undefined || everyIndex(extent, c, (k) => Number.isFinite(dx[k])));
    if ((isSmall || !isHeld) && size > 0) exponents.set(c, -Math.floor(Math.log2(all)));
  }
  return exponents;
}

/** Elements, of which those of some channels are multiplied. */
export function scaledElements(extent: Extent, elements: FloatArray, exponents: Exponents): FloatArray {
  const scaled = elements.slice();
  for (const [c, exponent] of exponents) {
    everyIndex(extent, c, (k) => {
      scaled[k] = times(elements[k]!, exponent);
      return true;
    });
  }
  return scaled;
}

export function scaledSums({ dgamma, dbeta }: GradientSums, exponents: Exponents): GradientSums {
  const scaled = { dgamma: dgamma.slice(), dbeta: dbeta.slice() };
  for (const [c, exponent] of exponents) {
    for (const vector of [scaled.dgamma, scaled.dbeta]) vector[c] = times(vector[c]!, exponent);
  }
  return scaled;
}

/** Puts what was computed of scaled gradients in the place of `seen`, in the channels that were scaled. */
export function unscaleInto(seen: SeenGradients, scaled: SeenGradients, extent: Extent, exponents: Exponents): void {
  for (const [c, exponent] of exponents) {
    for (const name of ['dgamma', 'dbeta'] as const) {
      if (seen.sums) seen.sums[name][c] = times(scaled.sums![name][c]!, -exponent);
    }
    for (const name of ['dx', 'dresidual'] as const) {
      const [to, from] = [seen[name], scaled[name]];
      if (!to || !from) continue;
      everyIndex(extent, c, (k) => {
        to[k] = times(from[k]!, -exponent);
        return true;
      });
    }
  }
}

/** value · 2^exponent, in two steps: one factor may be beyond float64. */
function times(value: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return value * 2 ** half * 2 ** (exponent - half);
}
