// What an operation's time is held against: a copy moves the same bytes and computes nothing.
import type { Operation } from '@batchnorm/select';

/** Activations that must be read or written at least: x to y; x and dy to dx. */
const streams: Readonly<Record<Operation, number>> = {
  'forward-training': 2,
  'forward-inference': 2,
  backward: 3,
  'training-step': 5,
};

/** The time of copying the bytes that `operation` has to move, when copying one activation (2 streams) takes `copy`. */
export function copyLimit(operation: Operation, copy: number): number {
  return (copy * streams[operation]) / 2;
}

let source = new Float32Array(0);
let target = new Float32Array(0);

/** Seconds of one copy of so many float32 elements on one thread, into memory that is there already. */
export async function sampleCopy({
  elements,
  sampleTime,
}: {
  readonly elements: number;
  readonly sampleTime: number;
}): Promise<number> {
  if (source.length !== elements) {
    source = Float32Array.from({ length: elements }, (_, k) => k);
    target = new Float32Array(elements);
  }
  target.set(source);
  const begin = performance.now();
  for (let calls = 1; ; calls++) {
    target.set(source);
    const seconds = (performance.now() - begin) / 1000;
    if (seconds >= sampleTime) return seconds / calls;
  }
}
