// The README shows this program (apps/snippets sees to that), and it runs.
import type { CandidateReport } from 'batchnorm';
import { expect, it, vi } from 'vitest';

it('normalises each column, and prints what its comments say', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  await import('../src/main.js');
  const [[chosen, candidates], y, gradients, z] = log.mock.calls as [
    [string, readonly CandidateReport[]],
    [Float32Array],
    [Float32Array, Float64Array, Float64Array],
    [Float32Array],
  ];
  log.mockRestore();
  expect(candidates.find(({ name }) => name === chosen)).toMatchObject({ available: true, reason: null });
  expect([...y[0]].map((value) => Math.round(value * 1e3))).toEqual([-1225, -1225, 0, 0, 1225, 1225]);
  expect(gradients.map(({ length }) => length)).toEqual([6, 2, 2]);
  expect([...gradients[2]]).toEqual([1, 1]);
  expect([...z[0]].every(Number.isFinite)).toBe(true);
});
