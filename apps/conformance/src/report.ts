// What a run found: a table for people, JSON for programs.
import { writeFile } from 'node:fs/promises';
import { styleText } from 'node:util';
import type { CaseResult } from '@batchnorm/conformance';
import type { Execution } from '@batchnorm/core-api';
import Table from 'cli-table3';

/** The results of one backend, or why it could not run here. */
export interface BackendReport {
  readonly backend: string;
  readonly execution: Execution | null;
  readonly unavailable: string | null;
  readonly results: readonly CaseResult[];
}

const statusText = {
  passed: styleText('green', 'pass'),
  failed: styleText('red', 'FAIL'),
  skipped: styleText('yellow', 'skip'),
};

export function tableOf({ backend, results }: BackendReport): string {
  const table = new Table({
    head: ['backend', 'dtype', 'file', 'case', '', 'worst error ÷ bound', 'where'],
    colAligns: ['left', 'left', 'left', 'left', 'left', 'right', 'left'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const { dtype, file, name, status, worst, where, messages } of results) {
    const ratio = status === 'skipped' ? '' : worst.toFixed(4);
    table.push([backend, dtype, file, name, statusText[status], ratio, status === 'skipped' ? messages.join() : where]);
  }
  return table.toString();
}

/** The failed checks, some of each case. */
export function failuresOf({ backend, results }: BackendReport, perCase = 3): string[] {
  return results
    .filter(({ status }) => status === 'failed')
    .flatMap(({ dtype, file, name, messages }) => {
      const more = messages.length > perCase ? [`… and ${messages.length - perCase} more`] : [];
      return [...messages.slice(0, perCase), ...more].map((line) => `${backend} ${dtype} ${file} ${name}: ${line}`);
    });
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
