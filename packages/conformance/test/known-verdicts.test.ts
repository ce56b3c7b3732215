// A verdict is known of the same question and the same bits alone.
import { afterEach, expect, it, vi } from 'vitest';
import { judgedOnce } from '../src/known-verdicts.js';

afterEach(() => vi.unstubAllGlobals());

/** How many of these, one after the other, are judged. */
async function judgements(...asked: [question: object, ...judged: (ArrayBufferView | undefined)[]][]): Promise<number> {
  const judge = vi.fn(() => 'right');
  for (const [question, ...judged] of asked) expect(await judgedOnce(question, judged, judge)).toBe('right');
  return judge.mock.calls.length;
}

it('asks once about the same bits, wherever they lie', async () => {
  const elsewhere = new Float32Array([0, 1, 2]).subarray(1);
  expect(await judgements([{ of: 'bits' }, Float32Array.of(1, 2)], [{ of: 'bits' }, elsewhere])).toBe(1);
});

it('asks again about another question, bit, sign of 0, dtype, length, or place', async () => {
  const [one, two] = [Float32Array.of(1, 0), Float32Array.of(2, 0)];
  const question = { of: 'others' };
  const asked: Parameters<typeof judgements> = [
    [question, one, two],
    [{ of: 'another' }, one, two],
    [question, Float32Array.of(1 + 2 ** -23, 0), two],
    [question, Float32Array.of(1, -0), two],
    [question, new Uint32Array(one.buffer), two],
    [question, Float32Array.of(1), two],
    [question, two, one],
    [question, one, undefined, two],
    [question, undefined, one, two],
  ];
  expect(await judgements(...asked, ...asked)).toBe(asked.length);
});

it('asks each time where there are no digests', async () => {
  vi.stubGlobal('crypto', {});
  expect(await judgements([{ of: 'none' }, Float32Array.of(1)], [{ of: 'none' }, Float32Array.of(1)])).toBe(2);
});

it('asks again after it was not answered', async () => {
  const fail = () => {
    throw new Error('no answer');
  };
  await expect(judgedOnce({ of: 'failure' }, [], fail)).rejects.toThrow('no answer');
  expect(await judgements([{ of: 'failure' }])).toBe(1);
});
