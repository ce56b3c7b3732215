// What a run found, for programs.
import { count, type Run } from './run-summary.js';

/** An error without a finite measure has `"worst": null` and `"ulps": null`. */
export function jsonReport({ date, machine, versions, reports }: Run): string {
  const results = reports.flatMap((report) => report.results);
  const document = {
    formatVersion: 2,
    date,
    platform: { machine, ...versions },
    passed: count(results, 'passed'),
    failed: count(results, 'failed'),
    skipped: count(results, 'skipped'),
    backends: reports,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
