// What a data-parallel trainer does between backward and step: adds up the gradients of all ranks.
import { types } from 'node:util';
import { type Collective, describe, inCallOrder, refuse } from '@batchnorm/core-api';

/** What `sumGradients` adds up. */
export type SummedArray = Float32Array | Float64Array;

/** Values in a message: what a rank holds of all others at a time is this, times as many ranks, of 8 bytes each. */
const valuesPerMessage = 2 ** 16;

/**
 * Makes each array the sum of that of all ranks, in float64 and in rank order: the same bits on every rank. Every rank
 * calls it with as many arrays of the same types and lengths, in the same order as its layers, awaited or not. For a mean
 * over ranks divide the learning rate by `collective.size`.
 *
 * Errors, which leave all arrays as they were: `INVALID_OPTION` for what is no collective, and for what are no arrays of
 * float32 or float64; then, and where numbers, types or lengths of arrays differ, `COLLECTIVE_FAILED` on the other ranks,
 * which names the first that does.
 */
export async function sumGradients(collective: Collective, arrays: readonly SummedArray[]): Promise<void> {
  if (typeof Object(collective).allGather !== 'function') {
    refuse('INVALID_OPTION', `collective ${describe(collective)}`, 'a Collective');
  }
  return inCallOrder(collective, () => sumTogether(collective, arrays));
}

async function sumTogether(collective: Collective, arrays: readonly SummedArray[]): Promise<void> {
  const unusable = whatIsUnusable(arrays);
  const counts = await collective.allGather(Float64Array.of(unusable === undefined ? arrays.length : failed));
  if (unusable !== undefined) refuse('INVALID_OPTION', unusable, 'arrays of type Float32Array or Float64Array');
  assertSame(counts, (value) => `${value} arrays`);
  const kinds = arrays.flatMap(({ length, BYTES_PER_ELEMENT }) => [length, 8 * BYTES_PER_ELEMENT]);
  assertSame(await collective.allGather(Float64Array.from(kinds)), (value, n) =>
    n % 2 === 0 ? `${value} values in array ${n / 2}` : `float${value} in array ${(n - 1) / 2}`,
  );
  const sums = concatenated(arrays);
  for (let begin = 0; begin < sums.length; begin += valuesPerMessage) {
    const part = sums.subarray(begin, begin + valuesPerMessage);
    const [first, ...others] = await collective.allGather(part);
    part.set(first!);
    for (const values of others) for (let n = 0; n < part.length; n++) part[n]! += values[n]!;
  }
  let begin = 0;
  for (const array of arrays) {
    array.set(sums.subarray(begin, begin + array.length));
    begin += array.length;
  }
}

/** In place of a number of arrays. */
const failed = -1;

function whatIsUnusable(arrays: unknown): string | undefined {
  if (!Array.isArray(arrays)) return describe(arrays);
  const n = arrays.findIndex((array) => !types.isFloat32Array(array) && !types.isFloat64Array(array));
  return n < 0 ? undefined : `${describe(arrays[n])} as array ${n}`;
}

/** Errors: `COLLECTIVE_FAILED`, which names the first rank that differs from rank 0, and in what. */
function assertSame(gathered: readonly Float64Array[], text: (value: number, n: number) => string): void {
  const lost = gathered.findIndex(([value]) => value === failed);
  if (lost >= 0) refuse('COLLECTIVE_FAILED', `a call that failed on rank ${lost}`, 'one that succeeds on every rank');
  const first = gathered[0]!;
  for (const [rank, values] of gathered.entries()) {
    const n = values.findIndex((value, n) => value !== first[n]);
    if (n < 0) continue;
    refuse('COLLECTIVE_FAILED', `rank ${rank} with ${text(values[n]!, n)}`, `${text(first[n]!, n)}, as rank 0 has`);
  }
}

function concatenated(arrays: readonly SummedArray[]): Float64Array {
  const all = new Float64Array(arrays.reduce((length, array) => length + array.length, 0));
  let begin = 0;
  for (const array of arrays) {
    all.set(array, begin);
    begin += array.length;
  }
  return all;
}
