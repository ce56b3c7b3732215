// An activation as shaders see it: a matrix of rows × columns, whose elements are vectors of four numbers where that
// fits, and how its threads are shared out.
import type { Extent } from '@batchnorm/core-api';

/**
 * `rows`: inner = 1, and a column is a channel, or four. `runs`: inner > 1, and a row is a run, all of one channel: row
 * r is of channel r % channels.
 */
export type Arrangement = 'rows' | 'runs';

/** What shaders are compiled for: it does not depend on how large a batch is. */
export interface LayoutClass {
  readonly arrangement: Arrangement;
  /** Numbers per element of the matrix. */
  readonly width: 1 | 4;
  /** How many of a workgroup's threads are neighbours along a row, a power of two. */
  readonly lanes: number;
  /** How many threads share a stretch of a channel's runs, a power of two. */
  readonly sharing: number;
}

export interface Layout extends LayoutClass {
  readonly extent: Extent;
  readonly channels: number;
  readonly rows: number;
  readonly columns: number;
  /** How many parts a sum over a channel has, each of one thread. */
  readonly blocks: number;
  /** Rows of a block; of runs, elements of the blocks that share a stretch. */
  readonly blockLength: number;
  /** From a thread's element of a run to its next, `sharing` further on: so many runs, and so many columns. */
  readonly laneRows: number;
  readonly laneColumns: number;
}

/** Threads of a workgroup. */
export const threads = 64;

/** Rows that a thread of an elementwise shader has, and terms that a sum adds up as a tree. */
export const group = 8;

/** How many groups a thread of a sum has before there is another block. */
const groupsPerThread = 4;

/** More blocks would cost the second stage of a sum more than they save the first. */
const mostParts = (arrangement: Arrangement): number => (arrangement === 'rows' ? 1024 : 32);

export function layoutOf(given: Extent): Layout {
  const extent = given.channels === 1 ? extentOfOneChannel(given.outer * given.inner) : given;
  const { outer, channels, inner } = extent;
  const arrangement = inner === 1 ? 'rows' : 'runs';
  const along = inner === 1 ? channels : inner;
  const width = along % 4 === 0 ? 4 : 1;
  const columns = along / width;
  const rows = inner === 1 ? outer : outer * channels;
  const lanes = Math.min(threads, 2 ** Math.ceil(Math.log2(columns)));
  const ofRuns = outer * columns;
  const sharing = Math.min(threads, 2 ** Math.ceil(Math.log2(Math.ceil(ofRuns / group))));
  const [length, stride] = arrangement === 'rows' ? [rows, group] : [ofRuns, group * sharing];
  const parts = Math.max(1, Math.min(mostParts(arrangement), Math.floor(length / (stride * groupsPerThread))));
  const blockLength = Math.ceil(length / parts / stride) * stride;
  return {
    arrangement,
    width,
    lanes,
    sharing,
    extent,
    channels,
    rows,
    columns,
    blocks: Math.ceil(length / blockLength) * (arrangement === 'rows' ? 1 : sharing),
    blockLength,
    laneRows: Math.floor(sharing / columns),
    laneColumns: sharing % columns,
  };
}

/** Values of one channel are neighbours, whatever the extent: as runs, of which every thread can have `group`. */
function extentOfOneChannel(values: number): Extent {
  const outer = values % (4 * group) === 0 ? group : 1;
  return { outer, channels: 1, inner: values / outer };
}
