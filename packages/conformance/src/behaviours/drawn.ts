// What was drawn for behaviours: every rule, in either memory, is tried with the same batches.
import { type Dtype, extentOf, type FloatArray } from '@batchnorm/core-api';
import { draw } from '../programs/values.js';

const mostBytes = 2 ** 26;
const drawn = new Map<string, FloatArray>();
let bytes = 0;

/** The seeded elements of an activation, channels on axis 1: an array of the caller's own. */
export function drawOnce(seed: number, shape: readonly number[], dtype: Dtype): FloatArray {
  const key = `${seed} ${shape} ${dtype}`;
  let values = drawn.get(key);
  if (values === undefined) {
    values = draw({ seed, kind: 'usual' }, extentOf(shape, 1), dtype);
    bytes += values.byteLength;
    if (bytes > mostBytes) {
      drawn.clear();
      bytes = values.byteLength;
    }
    drawn.set(key, values);
  }
  return values.slice();
}
