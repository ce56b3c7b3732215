// Per-channel views of golden activations, in plain float64 with compensated sums.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';

/** Calls `visit` with the index of every element of channel `c`. */
export function forEachOf(c: number, { outer, channels, inner }: Extent, visit: (index: number) => void): void {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) visit((o * channels + c) * inner + i);
  }
}

/** The channel of element `index`. */
export function channelOf(index: number, { channels, inner }: Extent): number {
  return Math.floor(index / inner) % channels;
}

/** Whether the position of element `index` counts; without a mask all do. */
export function isCounted(index: number, { channels, inner }: Extent, mask: CountedPositions | undefined): boolean {
  if (mask === undefined) return true;
  return mask.positions[Math.floor(index / (channels * inner)) * inner + (index % inner)] === 1;
}

/** A number for every element: `value` of its index and its channel. */
export function mapElements(
  { outer, channels, inner }: Extent,
  value: (index: number, c: number) => number,
): Float64Array {
  const values = new Float64Array(outer * channels * inner);
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < inner; i++, k++) values[k] = value(k, c);
    }
  }
  return values;
}

/**
 * The mean of `term` over the values of channel `c`, or over those of them that count, summed with Neumaier's
 * compensation.
 */
export function meanOver(
  c: number,
  extent: Extent,
  term: (index: number) => number,
  mask?: CountedPositions | undefined,
): number {
  const { outer, channels, inner } = extent;
  let sum = 0;
  let lost = 0;
  for (let o = 0; o < outer; o++) {
    const begin = (o * channels + c) * inner;
    for (let index = begin; index < begin + inner; index++) {
      if (mask !== undefined && mask.positions[o * inner + index - begin] === 0) continue;
      const value = term(index);
      const next = sum + value;
      lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
      sum = next;
    }
  }
  return (sum + lost) / (mask?.count ?? valuesPerChannel(extent));
}
