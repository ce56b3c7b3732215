// Gradients of all ranks added up, whatever carries them; bad ones change no array anywhere.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, inProcessCollective } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { type SummedArray, sumGradients } from '../src/index.js';

/** What each rank of a call is answered. */
const attempt = (arrays: readonly (readonly SummedArray[])[]) =>
  Promise.all(
    inProcessCollective(arrays.length).map((collective, rank) =>
      sumGradients(collective, arrays[rank]!).then(
        () => ({ code: undefined, message: '' }),
        ({ code, message }) => ({ code, message }),
      ),
    ),
  );

describe('sumGradients', () => {
  it('makes every array the sum of all ranks, the same on each', async () => {
    const arrays = [1, 2, 3].map((factor) => [
      Float32Array.of(factor, 10 * factor),
      new Float64Array(0),
      Float64Array.from({ length: 70_000 }, (_, n) => factor * n),
    ]);
    expect(await attempt(arrays)).toEqual(arrays.map(() => ({ code: undefined, message: '' })));
    for (const [weights, none, large] of arrays) {
      expect([...weights!]).toEqual([6, 60]);
      expect(none).toHaveLength(0);
      expect(large!.findIndex((value, n) => value !== 6 * n)).toBe(-1);
    }
  });

  it('adds in float64 and in rank order', async () => {
    const arrays = [1, 2 ** -30, -1].map((value) => [Float32Array.of(value)]);
    await attempt(arrays);
    for (const [sum] of arrays) expect(sum![0]).toBe(2 ** -30);
  });

  it('keeps its place among the calls of layers, where nobody awaits any of them', async () => {
    const x = { data: Float32Array.of(1, 2, 4, 8), shape: [2, 2] };
    const sums = inProcessCollective(2).map(async (collective, rank) => {
      const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: 2, collective });
      const sum = Float32Array.of(rank + 1);
      // What only one rank does makes its layer late.
      const own = rank === 1 ? [layer.moments(x), layer.state()] : [];
      await Promise.all([...own, layer.forward(x), sumGradients(collective, [sum]), layer.backward(x)]);
      return sum[0];
    });
    expect(await Promise.all(sums)).toEqual([3, 3]);
  });

  it('leaves the arrays of a rank alone as they are, to the bit', async () => {
    const array = Float64Array.of(-0, Number.NaN, 1e-320);
    await attempt([[array]]);
    expect(array).toEqual(Float64Array.of(-0, Number.NaN, 1e-320));
  });

  it.each([
    ['another number of arrays', [Float32Array.of(5)], /rank 1 with 1 arrays, expected 2 arrays, as rank 0 has/],
    [
      'arrays of other lengths',
      [Float32Array.of(5, 6, 7), Float64Array.of(8)],
      /rank 1 with 3 values in array 0, expected 2 values in array 0, as rank 0 has/,
    ],
    [
      'an array of another type',
      [Float32Array.of(5, 6), Float32Array.of(7, 8)],
      /rank 1 with float32 in array 1, expected float64 in array 1, as rank 0 has/,
    ],
  ])('changes nothing on any rank where one has %s', async (_, other, message) => {
    const own = () => [Float32Array.of(1, 2), Float64Array.of(3, 4)];
    const arrays = [own(), other, own()];
    const before = structuredClone(arrays);
    for (const answer of await attempt(arrays)) {
      expect(answer).toEqual({ code: 'COLLECTIVE_FAILED', message: expect.stringMatching(message) });
    }
    expect(arrays).toEqual(before);
  });

  it.each([[[Float32Array.of(1), [2]]], [undefined]])(
    'tells the others of a rank whose arrays are none',
    async (bad) => {
      const good = [Float32Array.of(1), Float32Array.of(2)];
      const [one, other] = await attempt([good, bad as never]);
      expect(one).toEqual({ code: 'COLLECTIVE_FAILED', message: expect.stringContaining('rank 1') });
      expect(other!.code).toBe('INVALID_OPTION');
      expect(good).toEqual([Float32Array.of(1), Float32Array.of(2)]);
    },
  );
});
