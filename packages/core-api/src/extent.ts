// Every layout is seen as three sizes, outer × channels × inner, so that kernels know no layouts.
import { type CountedPositions, everyCountedRun } from './counted-positions.js';
import { numbersOf } from './float16.js';
import type { FloatArray } from './tensor.js';

/**
 * The canonical view of an activation: element (o, c, i) lies at `(o * channels + c) * inner + i`.
 *
 * [N, C] is {N, C, 1}; channels-first [N, C, H, W] is {N, C, H·W}; channels-last [N, H, W, C] is {N·H·W, C, 1}.
 */
export interface Extent {
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
}

/** The most axes that an activation can have: a longer shape is a mistake, and too long to read. */
export const mostAxes = 64;

/** The extent of `shape` with channels on `axis`, which counts from the end when negative. Assumes a valid axis. */
export function extentOf(shape: readonly number[], axis: number): Extent {
  const channelAxis = axis < 0 ? shape.length + axis : axis;
  return {
    outer: product(shape.slice(0, channelAxis)),
    channels: shape[channelAxis]!,
    inner: product(shape.slice(channelAxis + 1)),
  };
}

/** M: how many values a channel has, over which its mean and variance are taken. */
export function valuesPerChannel({ outer, inner }: Extent): number {
  return outer * inner;
}

/** How many elements a tensor of `shape` has. */
export function product(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Whether `holds` for the index of every element of channel c. */
export function everyIndex({ outer, channels, inner }: Extent, c: number, holds: (index: number) => boolean): boolean {
  for (let o = 0; o < outer; o++) {
    const begin = (o * channels + c) * inner;
    for (let k = begin; k < begin + inner; k++) if (!holds(k)) return false;
  }
  return true;
}

/**
 * Whether `holds` for every run of neighbours in `values` that belong to channel c, and count where there is a mask. Runs
 * of float16 are given as numbers.
 */
export function everyRun(
  values: FloatArray,
  { outer, channels, inner }: Extent,
  c: number,
  holds: (run: Float32Array | Float64Array) => boolean,
  mask?: CountedPositions,
): boolean {
  for (let o = 0; o < outer; o++) {
    const begin = (o * channels + c) * inner;
    const everyPart = (from: number, to: number) => holds(numbersOf(values.subarray(begin + from, begin + to)));
    if (mask ? !everyCountedRun(mask, o * inner, (o + 1) * inner, everyPart) : !everyPart(0, inner)) return false;
  }
  return true;
}
