// What a rank says first in every gather, in as many numbers on every rank: who differs is found out before it matters.
import { refuse } from '@batchnorm/core-api';

/** How many numbers a frame has, of which the first says by which protocol: neither may ever change. */
export const frameLength = 256;

/** [protocol, sequence, length, status] */
const headerLength = 4;

/** How many values a frame has room for, beside its header. */
export const valuesPerFrame: number = frameLength - headerLength;

/** Of the header and of what follows. Another version is another number. */
const protocol = 1;

/** What a rank takes part with: values; nothing, because it failed before it had any; or nothing ever again. */
export type Status = 'values' | 'failed' | 'left';

const statuses: readonly Status[] = ['values', 'failed', 'left'];

/** The first values of a call, and what it is: the `sequence`-th of its rank. */
export function writeFrame(frame: Float64Array, sequence: number, status: Status, values: Float64Array): void {
  frame.set([protocol, sequence, values.length, statuses.indexOf(status)]);
  frame.set(values.subarray(0, valuesPerFrame), headerLength);
}

/** The values of a frame that has `length` of them, or as many as it has room for. */
export function valuesOf(frame: Float64Array, length: number): Float64Array {
  return frame.subarray(headerLength, headerLength + Math.min(length, valuesPerFrame));
}

/** The first rank that has left. */
export function rankThatLeft(frames: readonly Float64Array[]): number | undefined {
  const rank = frames.findIndex((frame) => frame[0] === protocol && statusOf(frame) === 'left');
  return rank < 0 ? undefined : rank;
}

/** Whether that was the last gather of every rank. */
export function haveAllLeft(frames: readonly Float64Array[]): boolean {
  return frames.every((frame) => frame[0] === protocol && statusOf(frame) === 'left');
}

/**
 * Errors: `COLLECTIVE_FAILED`, the same on every rank, which names the first rank that has failed or that differs from
 * rank 0, and in what.
 */
export function assertAgreement(frames: readonly Float64Array[]): void {
  assertSame(frames, 0, (protocol) => `protocol ${protocol}`);
  const left = rankThatLeft(frames);
  if (left !== undefined) refuse('COLLECTIVE_FAILED', `nothing of rank ${left}, which has left`, 'its values');
  assertSame(frames, 1, (sequence) => `call ${sequence}`);
  const failed = frames.findIndex((frame) => statusOf(frame) === 'failed');
  if (failed >= 0) refuse('COLLECTIVE_FAILED', `a call that failed on rank ${failed}`, 'one that succeeds on all');
  assertSame(frames, 2, (length) => `${length} values`);
}

function assertSame(frames: readonly Float64Array[], n: number, text: (value: number) => string): void {
  const first = frames[0]![n]!;
  const rank = frames.findIndex((frame) => frame[n] !== first);
  if (rank < 0) return;
  refuse('COLLECTIVE_FAILED', `rank ${rank} with ${text(frames[rank]![n]!)}`, `${text(first)}, as rank 0 has`);
}

const statusOf = (frame: Float64Array): Status | undefined => statuses[frame[3]!];
