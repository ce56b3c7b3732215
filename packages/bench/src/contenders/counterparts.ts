// What a contender is compared with.
import { shapeText } from '@batchnorm/reporting';
import type { Measured } from '../timing/measure.js';
import { straightforwardNameOf } from './contenders.js';

/**
 * The same operation of `against`, which is the name of a contender, 'straightforward' for the straightforward version
 * of this one, or 'pytorch' for PyTorch with as many threads. Where that has several kinds of memory, the same kind,
 * else arrays in and out.
 */
export function counterpartOf(one: Measured, all: readonly Measured[], against: string): Measured | undefined {
  if (one.kind === against) return undefined;
  const name = nameOfCounterpart(one.case.contender, one.description.threads, against);
  const candidates = all.filter(
    (other) =>
      other !== one &&
      other.case.contender === name &&
      other.case.operation === one.case.operation &&
      other.case.dtype === one.case.dtype &&
      shapeText(other.case.shape) === shapeText(one.case.shape),
  );
  const there = candidates.filter(({ case: { platform } }) => platform === one.case.platform);
  const near = there.length > 0 ? there : candidates;
  const of = (memory: string) => near.find((other) => other.case.memory === memory);
  return of(one.case.memory) ?? of('host');
}

export function nameOfCounterpart(contender: string, threads: number, against: string): string {
  if (against === 'straightforward') return straightforwardNameOf(contender);
  return against === 'pytorch' ? `pytorch-${threads}` : against;
}
