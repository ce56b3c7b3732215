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

/** One row for each case. */
export function casesOf(reports: readonly BackendReport[]): string {
  const table = new Table({
    ...plain,
    head: ['backend', 'platform', 'dtype', 'file', 'case', '', 'worst error ÷ bound', 'where'],
    colAligns: ['left', 'left', 'left', 'left', 'left', 'left', 'right', 'left'],
  });
  for (const { backend, platform, results } of reports) {
    for (const { dtype, file, name, status, worst, where } of results) {
      const ratio = status === 'skipped' ? '' : worst.toFixed(4);
      table.push([backend, platform, dtype, file, name, statusText[status], ratio, where]);
    }
  }
  return table.toString();
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
