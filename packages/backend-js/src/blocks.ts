// The order in which an activation is walked: blocks that stay in cache while each of their channels is visited.
import type { Extent } from '@batchnorm/core-api';

/**
 * A part of an activation: of every channel `count` runs, `next` apart, of `length` elements, `step` apart. Channel 0
 * begins at `first`, and each channel `inner` after the one before it.
 */
export interface Block {
  readonly first: number;
  readonly length: number;
  readonly step: number;
  readonly count: number;
  readonly next: number;
  /** Elements of each channel in the blocks before it: no fewer than in this one, the first block apart. */
  readonly seen: number;
}

/** Elements of a block of rows, all channels together: 256 KiB of float32. */
const elementsOfRows = 65536;
/** Elements of one channel in a block of rows. More than that break fewer, less than that more strips. */
const [fewestRows, mostRows] = [64, 1024];
/** Elements of one channel in a block, where runs are long: cutting runs shorter would break the prefetcher's streams. */
const longestRun = 4096;
/** Elements of one channel in a block, where runs are short: more would walk memory out of order. */
const elementsOfShortRuns = 64;
/** Elements of one channel in the first block: the pivot is one of them (docs/numerics.md). */
const firstElements = 8;

/** Blocks in memory order that cover `extent` once. */
export function blocksOf({ outer, channels, inner }: Extent): Block[] {
  // Where channels are neighbours, a channel has one run, its column: its elements are a row apart.
  const isRows = inner === 1 || channels === 1;
  const [runs, runLength, step] = isRows ? [1, outer * inner, channels] : [outer, inner, 1];
  const mostElements = isRows
    ? Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)))
    : longestRun;

  const blocks: Block[] = [];
  let seen = 0;
  for (let run = 0, done = 0; run < runs; ) {
    const limit = Math.min(mostElements, Math.max(firstElements, seen));
    const length = Math.min(limit, runLength - done);
    const wholeRuns = Math.floor(Math.min(limit, elementsOfShortRuns) / runLength);
    const count = Math.max(1, Math.min(wholeRuns, runs - run));
    blocks.push({ first: run * channels * inner + done * step, length, step, count, next: channels * inner, seen });
    seen += length * count;
    done += length;
    if (done === runLength) {
      done = 0;
      run += count;
    }
  }
  return blocks;
}
