// Batches of behaviours are kept: nobody who writes to one may change those of others.
import { extentOf } from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { drawOnce } from '../src/behaviours/drawn.js';
import { draw } from '../src/programs/values.js';

const shape = [3, 4, 5];
const fresh = (seed: number, dtype: 'float32' | 'float64') => draw({ seed, kind: 'usual' }, extentOf(shape, 1), dtype);

it('gives everybody an array of their own, of what the seed says', () => {
  const first = drawOnce(1, shape, 'float32');
  expect(first).toEqual(fresh(1, 'float32'));
  first.fill(7);
  expect(drawOnce(1, shape, 'float32')).toEqual(fresh(1, 'float32'));
});

it('tells seeds, shapes and dtypes apart', () => {
  expect(drawOnce(2, shape, 'float32')).toEqual(fresh(2, 'float32'));
  expect(drawOnce(1, shape, 'float64')).toEqual(fresh(1, 'float64'));
  expect(drawOnce(1, [12, 5], 'float32')).toEqual(draw({ seed: 1, kind: 'usual' }, extentOf([12, 5], 1), 'float32'));
});

it('draws again what it had to forget', () => {
  // 80 MB: more than is kept.
  for (let seed = 10; seed < 20; seed++) drawOnce(seed, [1_000_000, 1], 'float64');
  expect(drawOnce(1, shape, 'float32')).toEqual(fresh(1, 'float32'));
});
