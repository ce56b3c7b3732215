// What a run found, as tables of text.
import { styleText } from 'node:util';
import type { CaseResult } from '@batchnorm/conformance';
import Table from 'cli-table3';
import type { BackendReport } from './run-backend.js';
import {
  countTexts,
  failuresOf,
  formatRatio,
  groupsOf,
  inGroup,
  runsOn,
  type Status,
  skipsOf,
  ulpTexts,
  worstOf,
} from './run-summary.js';

const colors = { passed: 'green', failed: 'red', skipped: 'yellow' } as const;
const paint = (status: Status, text: string) => styleText(colors[status], text);

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
      ...groups.map((group) => countTexts(inGroup(results, group), paint).join('\n')),
      worst ? formatRatio(worst.worst) : '',
      where ?? '',
      ulpTexts(results).join('\n'),
      runsOn(report),
    ]);
  }
  return table.toString();
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
  const { status, worst, where } = result;
  if (status === 'skipped') return paint(status, 'skip');
  const detail = where.startsWith('refused') ? 'refused' : formatRatio(worst);
  return `${paint(status, status === 'passed' ? 'pass' : 'FAIL')} ${detail}`;
}

/** What failed and what was skipped, and why. */
export function messageLines(reports: readonly BackendReport[]): string[] {
  return reports.flatMap((report) =>
    [...failuresOf(report), ...skipsOf(report)].map((line) => `${report.backend} ${report.platform}: ${line}`),
  );
}
