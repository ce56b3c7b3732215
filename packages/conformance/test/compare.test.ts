// How a result is judged: shape and dtype, then what is not finite, then values.
import { expect, it } from 'vitest';
import { compare, type Expected } from '../src/compare.js';

const three = { shape: [3], data: Float64Array.of(1, 2, 3) };

function judged(received: typeof three, expected: Partial<Expected> = {}) {
  const exact = { dtype: 'float64', tolerance: Float64Array.of(0, 0, 0), magnitude: Float64Array.of(1, 1, 1) } as const;
  return compare(received, { ...three, ...exact, ...expected });
}

it('takes equal numbers, whatever the bound', () => {
  expect(judged(three)).toEqual({ passed: true, worst: 0, largestError: 0, message: '' });
  expect(judged(three, { tolerance: Float64Array.of(Number.NaN, Number.NaN, Number.NaN) }).passed).toBe(true);
});

it('names the worst element, by its bound', () => {
  const off = { shape: [3], data: Float64Array.of(1.5, 2, 4) };
  const found = judged(off, { tolerance: Float64Array.of(0.25, 1, 1) });
  expect(found).toMatchObject({ passed: false, worst: 2, largestError: 1 });
  expect(found.message).toMatch(/^\[0\]: received 1.5, expected 1, 2.00 × the bound$/);
});

it('takes no bound that is no number, also where a later element is right', () => {
  const off = { shape: [3], data: Float64Array.of(1.5, 2, 3.0001) };
  for (const bad of [
    { tolerance: Float64Array.of(Number.NaN, 1, 1) },
    { tolerance: Float64Array.of(1, 1, 1), magnitude: Float64Array.of(Number.NaN, 1, 1) },
  ]) {
    expect(judged(off, bad)).toMatchObject({ passed: false, message: expect.stringMatching(/^\[0\].*a number$/) });
  }
});

it('takes neither infinity nor NaN for a number, nor another shape', () => {
  const bound = { tolerance: Float64Array.of(10, 10, 10) };
  expect(judged({ shape: [3], data: Float64Array.of(1, Number.POSITIVE_INFINITY, 3) }, bound).passed).toBe(false);
  expect(judged({ shape: [3], data: Float64Array.of(1, Number.NaN, 3) }, bound).passed).toBe(false);
  expect(judged({ shape: [1, 3], data: three.data }, bound).message).toMatch(/shape \[1,3\], expected \[3\]/);
});
