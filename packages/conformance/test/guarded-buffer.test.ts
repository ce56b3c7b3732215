// Arrays with surroundings: what is written beside them is found, to the byte.
import type { FloatArray } from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { GuardedBuffer } from '../src/memory/guarded-buffer.js';

/** Several arrays of either dtype, small ones side by side and one that is larger than a chunk. */
function filled(): { buffer: GuardedBuffer; arrays: FloatArray[] } {
  const buffer = new GuardedBuffer();
  const lengths = [1, 2, 3, 5, 7, 40_000, 9, 11, 13, 6];
  const arrays = lengths.map((length, n) => buffer.allocate(n % 2 === 0 ? 'float32' : 'float64', length).fill(n));
  return { buffer, arrays };
}

it('finds nothing where arrays alone were written to', () => {
  const { buffer } = filled();
  expect(buffer.damage).toBe(0);
});

it('counts each byte before the first element and after the last', () => {
  const { arrays } = filled();
  for (const n of arrays.keys()) {
    const { buffer, arrays: again } = filled();
    const array = again[n]!;
    const bytes = new Uint8Array(array.buffer);
    let damaged = 0;
    for (const at of [array.byteOffset - 1, array.byteOffset - 6, 0, array.byteOffset + array.byteLength]) {
      // An array may end with its buffer.
      if (at >= bytes.length) continue;
      bytes[at] = 0;
      expect(buffer.damage).toBe(++damaged);
    }
  }
});
