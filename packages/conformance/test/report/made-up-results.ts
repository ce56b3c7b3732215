// Results that no backend gave: a matrix of two rules, whole, and what tests do to it.

import type { Dtype } from '@batchnorm/core-api';
import type { CaseResult, Cell } from '../../src/index.js';
import { columns } from '../../src/report/matrix.js';

export const rules = ['inputs are never written', 'out receives the results'] as const;

export function resultAt(cell: Cell | null, dtype: Dtype, change: Partial<CaseResult> = {}): CaseResult {
  return {
    group: 'behaviour',
    source: 'behaviour',
    name: cell ? Object.values(cell).join(' ') : 'of no cell',
    dtype,
    cell,
    status: 'passed',
    code: null,
    worst: 0,
    ulps: 0,
    where: '',
    messages: [],
    ...change,
  };
}

/** One result for each rule, column and dtype. `change` says what is to be different; `null` leaves it out. */
export function wholeMatrix(
  change: (cell: Cell, dtype: Dtype) => Partial<CaseResult> | null = () => ({}),
): CaseResult[] {
  return (['float32', 'float64'] as const).flatMap((dtype) =>
    rules.flatMap((rule) =>
      columns.flatMap((column) => {
        const cell = { rule, ...column };
        const changed = change(cell, dtype);
        return changed === null ? [] : [resultAt(cell, dtype, changed)];
      }),
    ),
  );
}
