// The parts of the tour; .ci/run takes the whole of it.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNormError } from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { findCandidates } from '../src/candidates.js';
import { compare } from '../src/comparison.js';
import { candidatesTable, comparisonTable, failures } from '../src/tables.js';

const broken = {
  name: 'broken',
  create: () => {
    throw new BatchNormError('BACKEND_UNAVAILABLE', 'received no luck, expected some');
  },
};
// Where one alone works, nothing is timed.
const candidates = [broken, { name: 'js', create: createJsBackend }, { name: 'other', create: createJsBackend }];
const shapes = [
  [8, 3],
  [2, 3, 4, 5],
] as const;

it('finds every backend that can run in Node, and says what runs or why nothing does', async () => {
  const found = await findCandidates();
  const js = found.find(({ candidate }) => candidate.name === 'js');
  expect(js).toMatchObject({ execution: { engine: 'JavaScript', device: 'cpu', threads: 1 }, reason: null });
  for (const { execution, reason } of found) expect((execution === null) !== (reason === null)).toBe(true);
  expect(candidatesTable(found)).toMatch(/js +│ yes +│ JavaScript on cpu, 1 thread/);
});

it('compares on every shape, stars the fastest, and says who dropped out and why', async () => {
  const { backend, reports } = await compare(candidates, shapes);
  try {
    expect(backend.name).toBe('js');
    for (const { chosen } of reports) expect(['js', 'other']).toContain(chosen);
  } finally {
    await backend.dispose();
  }
  const table = comparisonTable(shapes, reports);
  expect(table).toMatch(/backend +│ +8×3 │ +2×3×4×5 │/);
  for (const name of ['js', 'other']) {
    expect(table).toMatch(new RegExp(`${name} +│ +(★ )?[\\d.e-]+ ms │ +(★ )?[\\d.e-]+ ms │ [\\d.]+e-\\d+`));
  }
  expect(table.match(/★/g)).toHaveLength(shapes.length);
  expect(table).toMatch(/broken +│ +failed │ +failed │/);
  expect(failures(shapes, reports)).toEqual([
    'broken at 8×3: BACKEND_UNAVAILABLE: received no luck, expected some',
    'broken at 2×3×4×5: BACKEND_UNAVAILABLE: received no luck, expected some',
  ]);
});
