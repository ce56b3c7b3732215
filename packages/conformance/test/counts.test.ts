// Four numbers, said the same way everywhere.
import { expect, it } from 'vitest';
import { type CaseResult, countsLine, countsOf, countTexts, explanations, reasonOf } from '../src/index.js';

const passed: CaseResult = {
  group: 'exact',
  source: 'exact',
  name: 'rows',
  dtype: 'float64',
  cell: null,
  status: 'passed',
  code: null,
  worst: 0.5,
  ulps: 1,
  where: 'y',
  messages: [],
};
const failed: CaseResult = { ...passed, status: 'failed', messages: ['y: is not x', 'dx: is lost'] };
const refused: CaseResult = { ...passed, status: 'refused', code: 'DTYPE_MISMATCH' };
const unsupported: CaseResult = { ...refused, code: 'UNSUPPORTED', name: 'upload' };
const skipped: CaseResult = { ...passed, status: 'skipped', messages: ['it says nothing'] };

it('counts each status, also those that there are none of', () => {
  expect(countsOf([])).toEqual({ passed: 0, failed: 0, refused: 0, skipped: 0 });
  expect(countsOf([passed, passed, failed, refused, skipped, passed])).toEqual({
    passed: 3,
    failed: 1,
    refused: 1,
    skipped: 1,
  });
});

it('says all four in a line, with the codes of refusals', () => {
  expect(countsLine([])).toBe('0 passed, 0 failed, 0 refused, 0 skipped');
  expect(countsLine([passed, refused, refused, skipped])).toBe(
    '1 passed, 0 failed, 2 refused (DTYPE_MISMATCH), 1 skipped',
  );
  expect(countsLine([refused, unsupported, refused])).toBe(
    '0 passed, 0 failed, 3 refused (2 DTYPE_MISMATCH, 1 UNSUPPORTED), 0 skipped',
  );
});

it('says in a cell only what there is', () => {
  expect(countTexts([refused, passed, skipped, failed])).toEqual([
    { status: 'passed', text: '1 pass', codes: '' },
    { status: 'failed', text: '1 FAIL', codes: '' },
    { status: 'refused', text: '1 refused', codes: 'DTYPE_MISMATCH' },
    { status: 'skipped', text: '1 skip', codes: '' },
  ]);
  expect(countTexts([passed])).toHaveLength(1);
});

it('gives the reason of each outcome', () => {
  expect([passed, failed, refused, skipped].map(reasonOf)).toEqual([
    '',
    'y: is not x',
    'DTYPE_MISMATCH',
    'it says nothing',
  ]);
});

it('explains refusals and skips together, with the first of their cases', () => {
  expect(explanations([passed, skipped, refused, unsupported, refused, refused, refused, failed])).toEqual([
    '4 refused: DTYPE_MISMATCH (float64 exact rows, float64 exact rows, float64 exact rows and 1 more)',
    '1 refused: UNSUPPORTED (float64 exact upload)',
    '1 skipped: it says nothing (float64 exact rows)',
  ]);
});
