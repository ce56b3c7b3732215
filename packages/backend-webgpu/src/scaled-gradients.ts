// Gradients on the host whose terms float32 could not hold, because dy is too large or too small: they are linear in dy, so
// that they are computed of dy times a power of two for each such channel, which costs no digit.
import { type Extent, everyIndex, type FloatArray, type GradientSums } from '@batchnorm/core-api';
import { largestCoefficient, type Normalizer, smallestNormal } from '@batchnorm/core-api/float32-range';

/** By which power of two dy is to be multiplied, for each channel where that is needed. */
export type Exponents = ReadonlyMap<number, number>;

/** What a backward computed; undefined is what was not asked for. */
export interface HostGradients {
  readonly sums: GradientSums | undefined;
  readonly dx: FloatArray | undefined;
  readonly dresidual: FloatArray | undefined;
}

/**
 * Exponents by which the largest |dy| of a channel becomes about 1, where products of it, of `count` values that were
 * normalised `by` these vectors, may be beyond float32 or lose digits below its smallest normal number. `total`: sums of
 * other batches, too. What is not finite has no exponent.
 */
export function exponentsFor(
  extent: Extent,
  { invStd, gamma }: Normalizer,
  count: number,
  dy: FloatArray,
  total: GradientSums | undefined,
): Exponents {
  const exponents = new Map<number, number>();
  const sizes = largestOf(dy, extent);
  for (let c = 0; c < extent.channels; c++) {
    const slope = invStd[c]!;
    const ofTotal = total ? Math.max(Math.abs(total.dgamma[c]!), Math.abs(total.dbeta[c]!)) / count : 0;
    const size = Math.max(sizes[c]!, ofTotal);
    const least = count * smallestNormal * 2 ** 24 * Math.max(1, slope, 1 / (slope || 1));
    const most = largestCoefficient / (count * Math.max(1, slope, Math.abs(gamma[c]! * slope)));
    if ((size > 0 && size < least) || (size > most && size < Number.POSITIVE_INFINITY)) {
      exponents.set(c, -Math.floor(Math.log2(size)));
    }
  }
  return exponents;
}

/** The largest size of a value in each channel; NaN if one is NaN. */
function largestOf(values: FloatArray, { outer, channels, inner }: Extent): Float64Array {
  const largest = new Float64Array(channels);
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let most = largest[c]!;
      for (const end = k + inner; k < end; k++) {
        const size = Math.abs(values[k]!);
        if (!(size <= most)) most = Number.isNaN(most) ? most : size;
      }
      largest[c] = most;
    }
  }
  return largest;
}

/** Elements, of which those of some channels are multiplied. */
export function scaledElements(extent: Extent, elements: FloatArray, exponents: Exponents): FloatArray {
  if (exponents.size === 0) return elements;
  const scaled = elements.slice();
  for (const [c, exponent] of exponents) scale(scaled, extent, c, exponent);
  return scaled;
}

export function scaledSums({ dgamma, dbeta }: GradientSums, exponents: Exponents): GradientSums {
  const scaled = { dgamma: dgamma.slice(), dbeta: dbeta.slice() };
  for (const [c, exponent] of exponents) {
    for (const vector of [scaled.dgamma, scaled.dbeta]) vector[c] = times(vector[c]!, exponent);
  }
  return scaled;
}

/** What `gradients` of a scaled dy are of dy itself. */
export function unscaled(gradients: HostGradients, extent: Extent, exponents: Exponents): HostGradients {
  for (const [c, exponent] of exponents) {
    for (const vector of [gradients.sums?.dgamma, gradients.sums?.dbeta]) {
      if (vector) vector[c] = times(vector[c]!, -exponent);
    }
    for (const elements of [gradients.dx, gradients.dresidual]) if (elements) scale(elements, extent, c, -exponent);
  }
  return gradients;
}

function scale(elements: FloatArray, extent: Extent, c: number, exponent: number): void {
  everyIndex(extent, c, (k) => {
    elements[k] = times(elements[k]!, exponent);
    return true;
  });
}

/** value · 2^exponent, in two steps: one factor may be beyond float64. */
function times(value: number, exponent: number): number {
  const half = Math.trunc(exponent / 2);
  return value * 2 ** half * 2 ** (exponent - half);
}
