// What results of the kit come to.

import { expect, it } from 'vitest';
import type { CaseResult } from '../../src/index.js';
import {
  accuracyText,
  countsText,
  failedFirst,
  firstMessages,
  measureTexts,
  worstOf,
} from '../../src/report/kit-summary.js';
import { passed } from './passed.js';

const wider: CaseResult = { ...passed, dtype: 'float64', worst: 0.5, ulps: 4 };
const refused: CaseResult = { ...passed, status: 'refused', code: 'UNSUPPORTED', worst: 0, ulps: 0 };
const skipped: CaseResult = { ...refused, status: 'skipped', code: null, messages: ['no need'] };
const failed: CaseResult = { ...passed, status: 'failed', worst: 2, messages: ['a', 'b', 'c', 'd', 'e'] };

it('is the largest error over its bound, and the largest of each dtype in ulp', () => {
  expect(worstOf([passed, skipped, wider])).toBe(wider);
  expect(accuracyText([passed, wider])).toBe('at most 0.5000 × bound, float32 1.50 ulp, float64 4.00 ulp');
  expect(accuracyText([refused])).toBe('');
});

it('counts with the codes of refusals', () => {
  expect(countsText([passed, wider, refused, skipped])).toBe('2 pass, 1 refused UNSUPPORTED, 1 skip');
});

it('is a list with what failed first, and some of its messages', () => {
  expect(failedFirst([passed, refused, skipped, failed])).toEqual([failed, skipped, refused, passed]);
  expect(firstMessages(failed)).toEqual(['a', 'b', 'c', '… and 2 more']);
  expect([passed, refused, skipped].map(measureTexts)).toEqual([
    { bound: '0.2500', ulp: '1.50' },
    { bound: 'refused', ulp: '' },
    { bound: 'skip', ulp: '' },
  ]);
});
