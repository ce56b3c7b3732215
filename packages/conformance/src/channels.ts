// Per-channel views of golden activations, in plain float64 with compensated sums. Loops go through elements as they
// lie in memory, whichever channel they are of: one loop for all channels, not one for each.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';

/** A number for element `index`, which is of channel `c` and at `position`, as masks count them. */
export type OfElement = (index: number, c: number, position: number) => number;

/** The channel of element `index`. */
export function channelOf(index: number, { channels, inner }: Extent): number {
  return Math.floor(index / inner) % channels;
}

/** A number for every element: `value` of its index and its channel. */
export function mapElements({ outer, channels, inner }: Extent, value: OfElement): Float64Array {
  const values = new Float64Array(outer * channels * inner);
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < inner; i++, k++) values[k] = value(k, c, o * inner + i);
    }
  }
  return values;
}

/**
 * The mean of `term` over the values of each channel, [C], or over those of them that count, summed with Neumaier's
 * compensation.
 */
export function meansOf(extent: Extent, term: OfElement, mask?: CountedPositions | undefined): Float64Array {
  const { outer, channels, inner } = extent;
  const [sums, losses] = [new Float64Array(channels), new Float64Array(channels)];
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let [sum, lost] = [sums[c]!, losses[c]!];
      for (let i = 0; i < inner; i++, k++) {
        const position = o * inner + i;
        if (mask !== undefined && mask.positions[position] === 0) continue;
        const value = term(k, c, position);
        const next = sum + value;
        lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
        sum = next;
      }
      sums[c] = sum;
      losses[c] = lost;
    }
  }
  const M = mask?.count ?? valuesPerChannel(extent);
  return sums.map((sum, c) => (sum + losses[c]!) / M);
}

/** As one kind of array, because engines compile a loop that sees several to slower code. */
export function float64Of(values: ArrayLike<number>): Float64Array {
  return values instanceof Float64Array ? values : new Float64Array(values);
}
