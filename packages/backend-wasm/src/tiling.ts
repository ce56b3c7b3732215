// How a plan is cut: into sections and streams for sums, into panels and tasks for caches and threads. Of these numbers
// only those of sections and streams show in the bits of a result, and they are the same for any number of threads.
import type { Extent, Plan } from '@batchnorm/core-api';
import { streams } from './abi/accumulation.js';
import { bytesPerElement } from './linear-memory.js';

export interface Tiling {
  /** Of an activation. */
  readonly elementBytes: number;
  /** Whether kernels compute in float64, else in float32. */
  readonly isDouble: boolean;
  /** The extent as kernels see it. */
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
  readonly isChannelsLast: boolean;
  /** What these are, abi/job-field.ts says. */
  readonly pitch: number;
  readonly panel: number;
  readonly section: number;
  readonly sections: number;
  readonly streamRows: number;
  /** Tiles of a host array have a multiple of so many outer indices: these are added up as one group. */
  readonly rowAlignment: number;
  /** Bytes of the gate of ReLU (assembly/gate.ts); 0 without one. */
  readonly gateBytes: number;
  /** Whether a call takes so long that other threads can help. */
  readonly isParallel: boolean;
}

/** With fewer elements than this a call is done before another thread is awake. */
const fewestParallelElements = 65536;
/** Sections of a channels-last activation, at most, and rows of each, at least, where threads work on them. */
const [mostSections, fewestSectionRows] = [8, 256];
/**
 * Bytes of a stream, at most, and of a row, at least, for there to be streams; as float32 where that is computed in, so that
 * float16 is added up as the same numbers in float32 are.
 */
const [streamBytes, streamedRowBytes] = [64 << 10, 1 << 10];
/**
 * Bytes of a channels-first panel: so few that the second pass over it finds them in cache, or most of them; and bytes of
 * it that lie side by side, at least: main memory gives short stretches, far from each other, at half its speed.
 */
const [panelBytes, stretchBytes] = [2 << 20, 96 << 10];
const vectorBytes = 16;
/** Entries of float32 in a cache line. */
const lineEntries = 16;

export function tilingOf({ extent, dtype, activation }: Plan): Tiling {
  const { channels } = extent;
  const elements = extent.outer * channels * extent.inner;
  // One channel is one run of neighbours, whatever its layout.
  const [outer, inner] = channels === 1 ? [1, elements] : [extent.outer, extent.inner];
  const isChannelsLast = inner === 1 && channels > 1;
  const isParallel = elements >= fewestParallelElements;
  const elementBytes = bytesPerElement[dtype];
  const isDouble = dtype === 'float64';
  const numberBytes = isDouble ? 8 : 4;

  const rowBytes = (elements / outer) * numberBytes;
  // Odd: streams a power of two bytes apart would compete for the same sets of the cache.
  const streamRows = rowBytes < streamedRowBytes ? 1 : Math.max(1, Math.floor(streamBytes / rowBytes) - 1) | 1;
  const rowAlignment = isChannelsLast ? streams * streamRows : 1;
  const groups = Math.max(1, Math.floor(Math.max(fewestSectionRows, outer / mostSections) / rowAlignment));
  const section = isParallel && isChannelsLast ? groups * rowAlignment : outer;
  const channelBytes = (elements / channels) * elementBytes;
  const runs = isChannelsLast ? outer : outer * channels;
  return {
    elementBytes,
    isDouble,
    outer,
    channels,
    inner,
    isChannelsLast,
    pitch: pitchOf(extent),
    panel: isChannelsLast ? channels : channelsPerPanel(channels, channelBytes, inner * elementBytes),
    section,
    sections: Math.ceil(outer / section),
    streamRows,
    rowAlignment,
    gateBytes: activation === 'relu' ? bytesOfGates(runs, numberBytes * (elements / runs)) : 0,
    isParallel,
  };
}

/** Of a channels-first activation with so many bytes of a channel, in runs of so many. */
function channelsPerPanel(channels: number, channelBytes: number, runBytes: number): number {
  return Math.min(channels, roundUp(Math.max(panelBytes / channelBytes - 1, stretchBytes / runBytes), 2));
}

/** A byte for each vector of `runs` runs; and as many as the last vector's bits may be read with. */
function bytesOfGates(runs: number, runBytes: number): number {
  return runs * Math.ceil(runBytes / vectorBytes) + 7;
}

/** Entries of a table per channel: whole cache lines. */
export function pitchOf({ channels }: Extent): number {
  return roundUp(channels, lineEntries);
}

/** Channels of a task, if there are `tasks` of them: whole cache lines of a table. */
export function channelsPerTask(channels: number, tasks: number): number {
  return roundUp(channels / tasks, lineEntries);
}

/** The least multiple of `step` that is at least `value`, and not 0. */
function roundUp(value: number, step: number): number {
  return Math.max(1, Math.ceil(value / step)) * step;
}
