// In which order a pass reads an activation: in blocks that stay in the cache while their channels are read one after
// the other.
import type { Extent } from '@batchnorm/core-api';

/** A part of an activation: some runs of every channel. Channel c begins `c · inner` elements after channel 0. */
export interface Block {
  /** Index of the first element of channel 0. */
  readonly first: number;
  /** Index of its position: position (o, i) is that of the elements (o, c, i). */
  readonly position: number;
  /** Elements of one run. */
  readonly length: number;
  /** Elements from one of a run to the next: 1 where a run's elements are neighbours. */
  readonly step: number;
  /** Runs of each channel. */
  readonly count: number;
  /** Elements from the beginning of one run to that of the channel's next. */
  readonly next: number;
  /** Elements of each channel in all blocks before this one: no fewer than in this one, except before the first. */
  readonly seen: number;
}

/** Elements of a channels-last block, all channels together: 256 KiB of float32. */
const elementsOfRows = 65536;
/**
 * Rows of a channels-last block, at least and at most. Fewer would cut strips into more pieces, more would round sums
 * more.
 */
const [fewestRows, mostRows] = [64, 1024];
/**
 * Elements of one channel in a channels-first block of long runs: shorter pieces would interrupt the hardware's
 * prefetching.
 */
const longestRun = 4096;
/** Elements of one channel in a channels-first block of short runs: more would read memory too far out of order. */
const elementsOfShortRuns = 64;
/** Elements of one channel in the first block, whose pivot is its first element (docs/numerics.md). */
const firstElements = 8;

/** Blocks in the order of memory that together cover `extent` once. */
export function blocksOf({ outer, channels, inner }: Extent): Block[] {
  // Channels-last, a channel is one run: a column, whose elements are a row apart.
  const isRows = inner === 1 || channels === 1;
  const [runs, runLength, step] = isRows ? [1, outer * inner, channels] : [outer, inner, 1];
  const mostElements = isRows ? mostRowsOf(channels) : longestRun;

  const blocks: Block[] = [];
  let seen = 0;
  for (let run = 0, done = 0; run < runs; ) {
    const limit = Math.min(mostElements, Math.max(firstElements, seen));
    const length = Math.min(limit, runLength - done);
    const wholeRuns = Math.floor(Math.min(limit, elementsOfShortRuns) / runLength);
    const count = Math.max(1, Math.min(wholeRuns, runs - run));
    const [first, position] = [run * channels * inner + done * step, run * inner + done];
    blocks.push({ first, position, length, step, count, next: channels * inner, seen });
    seen += length * count;
    done += length;
    if (done === runLength) {
      done = 0;
      run += count;
    }
  }
  return blocks;
}

/** Rows of the largest channels-last block. */
export function mostRowsOf(channels: number): number {
  return Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)));
}
