// The result of a case that passed, which tests of reports make others of.
import type { CaseResult } from '../../src/index.js';

export const passed: CaseResult = {
  group: 'golden',
  source: 'a.json',
  name: 'a case',
  dtype: 'float32',
  cell: null,
  status: 'passed',
  code: null,
  worst: 0.25,
  ulps: 1.5,
  where: 'step 1 y',
  messages: [],
};
