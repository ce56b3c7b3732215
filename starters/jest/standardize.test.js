import { expect, test } from '@jest/globals';
import { BatchNormError } from 'batchnorm';
import { standardize } from './standardize.js';

test('features of any scale come out alike', async () => {
  const rows = await standardize([
    [1, 1000],
    [2, 2000],
    [3, 3000],
  ]);
  for (const [a, b] of rows) expect(a).toBeCloseTo(b, 4);
  expect(rows[0][0]).toBeCloseTo(-1.2247, 4);
});

test('rows of different lengths are refused', async () => {
  await expect(standardize([[1, 2], [3]])).rejects.toThrow(BatchNormError);
});
