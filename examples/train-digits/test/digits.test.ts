// The data: complete, split without loss, and in minibatches that a seed repeats.
import { expect, it } from 'vitest';
import { loadDigits, minibatches, split } from '../src/digits.js';

const digits = loadDigits();

it('has 1,797 images of 64 pixels from 0 to 1, and labels from 0 to 9', () => {
  expect(digits.images.shape).toEqual([1797, 64]);
  expect(digits.labels).toHaveLength(1797);
  expect(new Set(digits.labels)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  expect(digits.images.data.every((pixel) => pixel >= 0 && pixel <= 1)).toBe(true);
  expect(new Set(digits.images.data).size).toBe(17);
});

it('is split into a training and a test set that hold every digit once', () => {
  const { training, test } = split(digits, 360, 1);
  expect(training.images.shape).toEqual([1437, 64]);
  expect(test.images.shape).toEqual([360, 64]);
  const rows = [training, test].flatMap(rowsOf).sort();
  expect(rows).toEqual(rowsOf(digits).sort());
});

it('comes in minibatches that are full, in an order that the seed gives', () => {
  const small = split(digits, 10, 1).test;
  const [first, again, other] = [1, 1, 2].map((seed) => minibatches(small, 4, seed));
  const epoch = [first?.next().value, first?.next().value].map((batch) => batch?.labels);
  expect(epoch.map((labels) => labels?.length)).toEqual([4, 4]);
  expect([again?.next().value, again?.next().value].map((batch) => batch?.labels)).toEqual(epoch);
  expect([other?.next().value, other?.next().value].map((batch) => batch?.labels)).not.toEqual(epoch);
});

function rowsOf({ images, labels }: typeof digits): string[] {
  return [...labels].map((label, n) => `${images.data.subarray(n * 64, (n + 1) * 64)} ${label}`);
}
