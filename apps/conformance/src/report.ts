// What a run found: tables for people, JSON for programs.
import { writeFile } from 'node:fs/promises';
import { styleText } from 'node:util';
import type { CaseResult } from '@batchnorm/conformance';
import Table from 'cli-table3';
import type { BackendReport } from './run-backend.js';

const statusText = {
  passed: styleText('green', 'pass'),
  failed: styleText('red', 'FAIL'),
  skipped: styleText('yellow', 'skip'),
};

const plain = {
  style: { head: [], border: [] },
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
};

/** One row for each backend and platform. */
export function summaryOf(reports: readonly BackendReport[]): string {
  const table = new Table({
    ...plain,
    head: ['backend', 'platform', 'cases', 'worst ÷ bound', 'where', 'runs on'],
    colAligns: ['left', 'left', 'left', 'right', 'left', 'left'],
    colWidths: [null, null, null, null, 34, 48],
    wordWrap: true,
  });
  for (const report of reports) {
    const { backend, platform, results } = report;
    const worst = results.reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
    const where = worst && `${worst.dtype} ${worst.name} ${worst.where}`;
    table.push([backend, platform, countsOf(report), worst?.worst.toFixed(4) ?? '', where ?? '', runsOn(report)]);
  }
  return table.toString();
}

function countsOf({ error, unavailable, results }: BackendReport): string {
  if (unavailable !== null) return statusText.skipped;
  if (error !== null) return statusText.failed;
  return (['failed', 'passed', 'skipped'] as const)
    .map((status) => [results.filter((result) => result.status === status).length, statusText[status]] as const)
    .filter(([cases]) => cases > 0)
    .map((pair) => pair.join(' '))
    .join(', ');
}

function runsOn({ execution, unavailable, error }: BackendReport): string {
  if (execution === null) return unavailable ?? firstLine(error);
  const { engine, device, threads, accumulation, fallbackReason } = execution;
  const fallback = fallbackReason === null ? '' : `; fell back: ${fallbackReason}`;
  return `${engine} on ${device}, ${threads === 1 ? '1 thread' : `${threads} threads`}, sums in ${accumulation}${fallback}`;
}

const firstLine = (text: string | null) => text?.split('\n')[0] ?? '';

/** One row for each case, one column for each backend and platform: pass or FAIL, and the worst error over its bound. */
export function casesOf(reports: readonly BackendReport[]): string {
  const ran = reports.filter(({ results }) => results.length > 0);
  const table = new Table({
    ...plain,
    head: [
      'dtype',
      'file',
      'case',
      ...ran.map(({ backend, platform }) => `${backend.replace('-', '\n')}\n${platform}`),
    ],
  });
  const [longest] = ran.toSorted((a, b) => b.results.length - a.results.length);
  for (const { dtype, file, name } of longest?.results ?? []) {
    const cells = ran.map(({ results }) =>
      cellOf(results.find((result) => result.dtype === dtype && result.file === file && result.name === name)),
    );
    table.push([dtype, file, name, ...cells]);
  }
  return table.toString();
}

function cellOf(result: CaseResult | undefined): string {
  if (result === undefined) return '';
  const { status, worst, where } = result;
  const detail = where.startsWith('refused') ? 'refused' : worst.toFixed(4);
  return status === 'skipped' ? statusText.skipped : `${statusText[status]} ${detail}`;
}

/** What failed and what was skipped, and why: some lines of each case. */
export function messagesOf({ backend, platform, error, results }: BackendReport, perCase = 3): string[] {
  const outside = error === null ? [] : [`${backend} ${platform}: ${error}`];
  const inside = results.flatMap(({ dtype, file, name, status, messages }) => {
    const more = messages.length > perCase ? [`… and ${messages.length - perCase} more`] : [];
    const prefix = `${backend} ${platform} ${dtype} ${file} ${name}: ${status === 'skipped' ? 'skipped: ' : ''}`;
    return [...messages.slice(0, perCase), ...more].map((line) => `${prefix}${line}`);
  });
  return [...outside, ...inside];
}

export function count(reports: readonly BackendReport[], status: CaseResult['status']): number {
  return reports.flatMap(({ results }) => results).filter((result) => result.status === status).length;
}

/** An error without a finite measure has `"worst": null`. */
export async function writeJson(path: string, reports: readonly BackendReport[]): Promise<void> {
  const document = {
    formatVersion: 1,
    passed: count(reports, 'passed'),
    failed: count(reports, 'failed'),
    skipped: count(reports, 'skipped'),
    backends: reports,
  };
  await writeFile(path, `${JSON.stringify(document, null, 2)}\n`);
}
