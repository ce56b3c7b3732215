// What a run found, as tables of text.
import { styleText } from 'node:util';
import { boundText, right } from '@batchnorm/reporting';
import { textTable } from '@batchnorm/reporting/terminal';
import type { CaseResult } from '../conformance.js';
import { countTexts, explanations } from '../counts.js';
import type { BackendReport } from './backend-report.js';
import { isMeasured, measureTexts, ulpTexts, worstOf } from './kit-summary.js';
import { axes, type EntryStatus, entryCounts, type Matrix, remarksOf, remarkText } from './matrix.js';
import { failuresOf, groupsOf, inGroup, matrixIn, placeOf, runsOn } from './run-summary.js';

const colors = { passed: 'green', failed: 'red', refused: 'yellow', skipped: 'yellow', hole: 'red' } as const;
const paint = (status: EntryStatus, text: string) => styleText(colors[status], text);

/** One row for each backend and platform, one column for each group of cases. */
export function summaryTable(reports: readonly BackendReport[], layout?: { readonly width: number }): string {
  const groups = groupsOf(reports);
  const columns = [
    ...['backend', 'platform', ...groups.map(right), right('worst ÷ bound')],
    ...[{ head: 'where', width: 30 }, right('max ulp'), { head: 'runs on', width: 40 }],
  ];
  const rows = reports.map((report) => {
    const { backend, platform, results, error, unavailable } = report;
    const worst = worstOf(results);
    return [
      error === null ? backend : `${backend} ${paint('failed', 'FAIL')}`,
      unavailable === null ? platform : `${platform} ${paint('skipped', 'skip')}`,
      ...groups.map((group) => countCell(countTexts(inGroup(results, group)))),
      ...[worst ? boundText(worst.worst) : '', placeOf(worst), ulpTexts(results).join('\n'), runsOn(report)],
    ];
  });
  return textTable(columns, rows, { ...layout, keys: 2 });
}

function countCell(counts: readonly { readonly status: EntryStatus; readonly text: string }[]): string {
  return counts.map(({ status, text }) => paint(status, text)).join('\n');
}

/**
 * The matrices of behaviours, in short: one row for each backend and platform, one column for each memory and size, and
 * how many rules, layouts and dtypes came out how. Empty where no behaviours ran.
 */
export function matrixTable(reports: readonly BackendReport[], layout?: { readonly width: number }): string {
  const across = Object.keys(axes.memory).flatMap((memory) => Object.keys(axes.size).map((size) => ({ memory, size })));
  const heads = across.map(({ memory, size }) => right(`${memory}\n${size.replace(' or ', '\nor ')}`));
  const rows = reports.flatMap((report) => {
    const matrix = matrixIn(reports, report);
    if (!matrix) return [];
    const cells = across.map(({ memory, size }) =>
      countCell(entryCounts(matrix.entries.filter(({ place }) => place.memory === memory && place.size === size))),
    );
    return [[report.backend, report.platform, ...cells]];
  });
  return rows.length === 0 ? '' : textTable(['behaviours', 'platform', ...heads], rows, { ...layout, keys: 2 });
}

/**
 * One row for each golden case, one column for each backend and platform: pass or FAIL, and the worst error over its
 * bound.
 */
export function goldenTable(reports: readonly BackendReport[], layout?: { readonly width: number }): string {
  const ran = reports.map((report) => ({ ...report, results: inGroup(report.results, 'golden') }));
  const columns = ran.filter(({ results }) => results.length > 0);
  const heads = columns.map(({ backend, platform }) => `${backend.replace('-', '\n')}\n${platform}`);
  const rows = (columns[0]?.results ?? []).map(({ dtype, source, name }) => [
    ...[dtype, source, name],
    ...columns.map(({ results }) =>
      cellOf(results.find((result) => result.dtype === dtype && result.source === source && result.name === name)),
    ),
  ]);
  return textTable(['dtype', 'file', 'golden case', ...heads], rows, { ...layout, keys: 3 });
}

function cellOf(result: CaseResult | undefined): string {
  if (result === undefined) return '';
  const { status } = result;
  const { bound } = measureTexts(result);
  if (!isMeasured(result)) return paint(status, bound);
  return `${paint(status, status === 'passed' ? 'pass' : 'FAIL')} ${bound}`;
}

/**
 * What failed, was refused or skipped, and why; what of it is in the matrix, by its places there; and the holes of the
 * matrix.
 */
export function messageLines(reports: readonly BackendReport[]): string[] {
  return reports.flatMap((report) => {
    const elsewhere = report.results.filter(({ cell }) => cell === null);
    const lines = [...failuresOf(report), ...matrixLines(matrixIn(reports, report)), ...explanations(elsewhere)];
    return lines.map((line) => `${report.backend} ${report.platform}: ${line}`);
  });
}

function matrixLines(matrix: Matrix | undefined): string[] {
  if (!matrix) return [];
  return remarksOf(matrix)
    .filter(({ status }) => status !== 'failed')
    .map((remark) => {
      const line = remarkText(remark, matrix);
      return remark.status === 'hole' ? paint('hole', line) : line;
    });
}
