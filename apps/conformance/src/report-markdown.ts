// What a run found, as Markdown: a table of backends and groups, the matrix of behaviours, and lists of what did not pass.
import { countsLine, countTexts, explanations } from '@batchnorm/conformance';
import { escapeMarkdown, row } from './markdown.js';
import { markdownMatrices } from './matrix-markdown.js';
import type { BackendReport } from './run-backend.js';
import { failuresOf, formatRatio, groupsOf, inGroup, type Run, runsOn, ulpTexts, worstOf } from './run-summary.js';

export function markdownReport({ date, machine, versions, reports }: Run): string {
  const groups = groupsOf(reports);
  const head = ['backend', 'platform', ...groups, 'worst ÷ bound', 'where', 'max ulp', 'runs on'];
  const right = ['worst ÷ bound', 'max ulp'];
  const rows = reports.map((report) => {
    const { backend, platform, results } = report;
    const worst = worstOf(results);
    return [
      backend,
      platform,
      ...groups.map((group) => countsText(inGroup(results, group))),
      worst ? formatRatio(worst.worst) : '',
      worst ? `${worst.dtype} ${worst.name} ${worst.where}` : '',
      ulpTexts(results).join(', '),
      `${notRun(report)}${runsOn(report)}`,
    ];
  });
  return [
    '# BatchNorm conformance',
    '',
    escapeMarkdown(
      [date, machine, ...Object.entries(versions).map(([name, version]) => `${name} ${version}`)].join(', '),
    ),
    '',
    escapeMarkdown(countsLine(reports.flatMap(({ results }) => results))),
    '',
    row(head),
    row(head.map((name) => (right.includes(name) ? '---:' : '---'))),
    ...rows.map((cells) => row(cells.map(escapeMarkdown))),
    ...section('Failures', reports, failuresOf),
    ...section('Refused and skipped', reports, ({ results }) => explanations(results)),
    ...markdownMatrices(reports),
    '',
  ].join('\n');
}

/** Such as '28 pass, 2 refused DTYPE_MISMATCH'. */
function countsText(results: BackendReport['results']): string {
  return countTexts(results)
    .map(({ text, codes }) => `${text} ${codes}`.trim())
    .join(', ');
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
