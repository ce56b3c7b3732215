// What an operation's time is held against: a copy moves the same bytes and computes nothing.
import { meanTime } from '@batchnorm/bench/clock';
import { Copy } from '@batchnorm/bench/copy';
import { bytesMoved, streams } from '@batchnorm/bench/streams';
import type { Operation } from '@batchnorm/select';

/** Has the streams of one copied activation: one is read, and one written. */
const copied = 'forward-inference';

/** The time of copying the bytes that `operation` has to move, when copying one activation takes `copy`. */
export function copyLimit(operation: Operation, copy: number): number {
  return (copy * streams[operation]) / streams[copied];
}

/** Kept, because a shape is copied in every round. */
let latest = { elements: 0, copy: new Copy(0) };

/** Seconds of one copy of so many float32 elements on one thread, into memory that is there already. */
export async function sampleCopy({
  elements,
  sampleTime,
}: {
  readonly elements: number;
  readonly sampleTime: number;
}): Promise<number> {
  if (latest.elements !== elements) {
    latest = { elements, copy: new Copy(bytesMoved({ operation: copied, shape: [elements], dtype: 'float32' })) };
  }
  const { copy } = latest;
  copy.run();
  return meanTime(() => copy.run(), sampleTime);
}
