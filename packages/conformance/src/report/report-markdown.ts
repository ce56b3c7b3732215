// What a run found, as Markdown: a table of backends and groups, the matrix of behaviours, and lists of what did not
// pass.

import { boundText, escapeMarkdown, markdownTable, right } from '@batchnorm/reporting';
import { countsLine, explanations } from '../counts.js';
import type { BackendReport } from './backend-report.js';
import { countsText, ulpTexts, worstOf } from './kit-summary.js';
import { markdownMatrices } from './matrix-markdown.js';
import { factsOf, failuresOf, groupsOf, inGroup, placeOf, type Run, runsOn } from './run-summary.js';

/** What `htmlReport` shows, as Markdown to paste where people talk. */
export function markdownReport(run: Run): string {
  const { reports } = run;
  const groups = groupsOf(reports);
  const heads = ['backend', 'platform', ...groups, right('worst ÷ bound'), 'where', right('max ulp'), 'runs on'];
  const rows = reports.map((report) => {
    const { backend, platform, results } = report;
    const worst = worstOf(results);
    return [
      ...[backend, platform, ...groups.map((group) => countsText(inGroup(results, group)))],
      ...[worst ? boundText(worst.worst) : '', placeOf(worst), ulpTexts(results).join(', ')],
      `${notRun(report)}${runsOn(report)}`,
    ].map(escapeMarkdown);
  });
  return [
    '# BatchNorm conformance',
    '',
    escapeMarkdown(factsOf(run).join(', ')),
    '',
    escapeMarkdown(countsLine(reports.flatMap(({ results }) => results))),
    '',
    ...markdownTable(heads, rows),
    ...section('Failures', reports, failuresOf),
    ...section('Refused and skipped', reports, ({ results }) => explanations(results)),
    ...markdownMatrices(reports),
    '',
  ].join('\n');
}

const notRun = ({ unavailable, error }: BackendReport) =>
  unavailable !== null ? 'not run: ' : error !== null ? 'FAIL: ' : '';

function section(
  title: string,
  reports: readonly BackendReport[],
  linesOf: (report: BackendReport) => string[],
): string[] {
  const lines = reports.flatMap((report) =>
    linesOf(report).map((line) => `- ${escapeMarkdown(`${report.backend} ${report.platform}: ${line}`)}`),
  );
  return lines.length === 0 ? [] : ['', `## ${title}`, '', ...lines];
}
