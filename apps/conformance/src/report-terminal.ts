// What a run found, as tables of text.
import { styleText } from 'node:util';
import { type CaseResult, countTexts, explanations } from '@batchnorm/conformance';
import Table from 'cli-table3';
import { axes, type EntryStatus, entryCounts, type Matrix, remarksOf, remarkText } from './matrix.js';
import type { BackendReport } from './run-backend.js';
import { failuresOf, formatRatio, groupsOf, inGroup, matrixIn, runsOn, ulpTexts, worstOf } from './run-summary.js';

const colors = { passed: 'green', failed: 'red', refused: 'yellow', skipped: 'yellow', hole: 'red' } as const;
const paint = (status: EntryStatus, text: string) => styleText(colors[status], text);

const plain = {
  style: { head: [], border: [] },
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
};

/** One row for each backend and platform, one column for each group of cases. */
export function summaryTable(reports: readonly BackendReport[]): string {
  const groups = groupsOf(reports);
  const table = new Table({
    ...plain,
    head: ['backend', 'platform', ...groups, 'worst ÷ bound', 'where', 'max ulp', 'runs on'],
    colAligns: ['left', 'left', ...groups.map(() => 'right' as const), 'right', 'left', 'right', 'left'],
    colWidths: [null, null, ...groups.map(() => null), null, 30, null, 40],
    wordWrap: true,
  });
  for (const report of reports) {
    const { backend, platform, results } = report;
    const worst = worstOf(results);
    const where = worst && `${worst.dtype} ${worst.name} ${worst.where}`;
    table.push([
      report.error === null ? backend : `${backend} ${paint('failed', 'FAIL')}`,
      report.unavailable === null ? platform : `${platform} ${paint('skipped', 'skip')}`,
      ...groups.map((group) => countCell(countTexts(inGroup(results, group)))),
      worst ? formatRatio(worst.worst) : '',
      where ?? '',
      ulpTexts(results).join('\n'),
      runsOn(report),
    ]);
  }
  return table.toString();
}

function countCell(counts: readonly { readonly status: EntryStatus; readonly text: string }[]): string {
  return counts.map(({ status, text }) => paint(status, text)).join('\n');
}

/**
 * The matrices of behaviours, in short: one row for each backend and platform, one column for each memory and size, and
 * how many rules, layouts and dtypes came out how. Empty where no behaviours ran.
 */
export function matrixTable(reports: readonly BackendReport[]): string {
  const across = Object.keys(axes.memory).flatMap((memory) => Object.keys(axes.size).map((size) => ({ memory, size })));
  const table = new Table({
    ...plain,
    head: [
      'behaviours',
      'platform',
      ...across.map(({ memory, size }) => `${memory}\n${size.replace(' or ', '\nor ')}`),
    ],
    colAligns: ['left', 'left', ...across.map(() => 'right' as const)],
  });
  for (const report of reports) {
    const matrix = matrixIn(reports, report);
    if (!matrix) continue;
    const cells = across.map(({ memory, size }) =>
      countCell(entryCounts(matrix.entries.filter(({ place }) => place.memory === memory && place.size === size))),
    );
    table.push([report.backend, report.platform, ...cells]);
  }
  return table.length === 0 ? '' : table.toString();
}

/** One row for each golden case, one column for each backend and platform: pass or FAIL, and the worst error over its bound. */
export function goldenTable(reports: readonly BackendReport[]): string {
  const ran = reports.map((report) => ({ ...report, results: inGroup(report.results, 'golden') }));
  const columns = ran.filter(({ results }) => results.length > 0);
  const table = new Table({
    ...plain,
    head: [
      'dtype',
      'file',
      'golden case',
      ...columns.map(({ backend, platform }) => `${backend.replace('-', '\n')}\n${platform}`),
    ],
  });
  for (const { dtype, source, name } of columns[0]?.results ?? []) {
    const cells = columns.map(({ results }) =>
      cellOf(results.find((result) => result.dtype === dtype && result.source === source && result.name === name)),
    );
    table.push([dtype, source, name, ...cells]);
  }
  return table.toString();
}

function cellOf(result: CaseResult | undefined): string {
  if (result === undefined) return '';
  const { status, worst } = result;
  if (status === 'skipped') return paint(status, 'skip');
  if (status === 'refused') return paint(status, 'refused');
  return `${paint(status, status === 'passed' ? 'pass' : 'FAIL')} ${formatRatio(worst)}`;
}

/** What failed, was refused or skipped, and why; what of it is in the matrix, by its places there; and the holes of the matrix. */
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
