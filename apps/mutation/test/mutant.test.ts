// A mutant is shown as the line that it changes.
import type { MutationTestResult } from 'mutation-testing-report-schema/api';
import { expect, it } from 'vitest';
import { mutantsOf } from '../src/mutant.js';

const lines = `
  if (a < b) {
    return [
      a,
    ];
  }
`;

/** The report of one mutant: what stands from `start` to `end` becomes `replacement`. */
function reportOf(
  start: [number, number],
  end: [number, number],
  replacement: string,
  source = lines,
): MutationTestResult {
  const position = ([line, column]: [number, number]) => ({ line, column });
  const mutant = {
    id: '0',
    mutatorName: 'any',
    status: 'Killed' as const,
    location: { start: position(start), end: position(end) },
    replacement,
  };
  return {
    schemaVersion: '2',
    thresholds: { high: 80, low: 60 },
    files: { 'a.ts': { language: 'typescript', source, mutants: [mutant] } },
  };
}

const changeOf = (report: MutationTestResult) => mutantsOf(report).map(({ from, to }) => [from, to]);

it('within a line', () => {
  expect(changeOf(reportOf([2, 7], [2, 12], 'a <= b'))).toEqual([['if (a < b) {', 'if (a <= b) {']]);
});

it('from one line to another, with the end of that one', () => {
  expect(changeOf(reportOf([3, 12], [5, 6], '[]'))).toEqual([['return [', 'return [];']]);
});

it('without the line breaks of what replaces it', () => {
  expect(changeOf(reportOf([2, 14], [6, 4], '{\n    b;\n  }'))).toEqual([['if (a < b) {', 'if (a < b) { b; }']]);
});

it('in the function or method that begins last before it', () => {
  const source = [
    'const a = 1;',
    'export function f(',
    '  b: number,',
    ') {',
    '  g(a);',
    '  return a + b;',
    '}',
    'class C {',
    '  async #m(): void {',
    '    f(2);',
    '  }',
    '}',
  ].join('\n');
  const withinAt = (line: number) => mutantsOf(reportOf([line, 1], [line, 2], '', source))[0]!.within;
  expect([1, 2, 6, 9, 10].map(withinAt)).toEqual(['', 'f', 'f', '#m', '#m']);
});
