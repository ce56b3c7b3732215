// What a run found, as Markdown: a table of backends and groups, and a list of what failed.
import type { BackendReport } from './run-backend.js';
import {
  countTexts,
  failuresOf,
  formatRatio,
  groupsOf,
  inGroup,
  type Run,
  runsOn,
  skipsOf,
  ulpTexts,
  worstOf,
} from './run-summary.js';

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
      ...groups.map((group) => countTexts(inGroup(results, group)).join(', ')),
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
    row(head),
    row(head.map((name) => (right.includes(name) ? '---:' : '---'))),
    ...rows.map((cells) => row(cells.map(escapeMarkdown))),
    ...section('Failures', reports, failuresOf),
    ...section('Skipped', reports, skipsOf),
    '',
  ].join('\n');
}

const notRun = ({ unavailable, error }: BackendReport) =>
  unavailable !== null ? 'not run: ' : error !== null ? 'FAIL: ' : '';

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

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

/** Plain text within one line: nothing in it is Markdown or HTML. */
function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_~[\]<>|#&]/g, '\\$&').replace(/\s+/g, ' ');
}
