// Per-channel views of golden activations, in plain float64 with compensated sums. Loops go through elements as they
// lie in memory, whichever channel they are of: one loop for all channels, not one for each.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';

/** The channel of element `index`. */
export function channelOf(index: number, { channels, inner }: Extent): number {
  return Math.floor(index / inner) % channels;
}

let latest: { readonly extent: Extent; readonly channels: Int32Array } | undefined;

/**
 * The channel of every element. Loops over elements ask for that of each: a function that is called for each takes many
 * times as long, and there may be a million. That of the latest extent is kept.
 */
export function channelsOf(extent: Extent): Int32Array {
  const { outer, channels, inner } = extent;
  const isLatest =
    latest?.extent.outer === outer && latest.extent.channels === channels && latest.extent.inner === inner;
  if (latest && isLatest) return latest.channels;
  const ofElements = new Int32Array(outer * channels * inner);
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++, k += inner) ofElements.fill(c, k, k + inner);
  }
  latest = { extent: { outer, channels, inner }, channels: ofElements };
  return ofElements;
}

/** 1 for every element whose position counts, else 0. */
export function countsOf({ outer, channels, inner }: Extent, { positions }: CountedPositions): Uint8Array {
  const ofElements = new Uint8Array(outer * channels * inner);
  for (let o = 0, k = 0; o < outer; o++) {
    const run = positions.subarray(o * inner, (o + 1) * inner);
    for (let c = 0; c < channels; c++, k += inner) ofElements.set(run, k);
  }
  return ofElements;
}

/** What a mean is of besides values: their products with `factors`, at the positions that count. Default: nothing. */
export interface Averaged {
  readonly factors?: Float64Array;
  readonly mask?: CountedPositions | undefined;
}

/** The mean of the values of each channel, [C], summed with Neumaier's compensation. */
export function meansOf(values: Float64Array, extent: Extent, { factors, mask }: Averaged = {}): Float64Array {
  const { outer, channels, inner } = extent;
  const [sums, losses] = [new Float64Array(channels), new Float64Array(channels)];
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let sum = sums[c]!;
      let lost = losses[c]!;
      for (let i = 0; i < inner; i++, k++) {
        if (mask !== undefined && mask.positions[o * inner + i] === 0) continue;
        const value = factors === undefined ? values[k]! : values[k]! * factors[k]!;
        const next = sum + value;
        lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
        sum = next;
      }
      sums[c] = sum;
      losses[c] = lost;
    }
  }
  const M = mask?.count ?? valuesPerChannel(extent);
  for (let c = 0; c < channels; c++) sums[c] = (sums[c]! + losses[c]!) / M;
  return sums;
}

/** As one kind of array, because engines compile a loop that sees several to slower code. */
export function float64Of(values: ArrayLike<number>): Float64Array {
  return values instanceof Float64Array ? values : new Float64Array(values);
}
