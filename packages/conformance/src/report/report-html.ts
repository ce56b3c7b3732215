// What a run found, as one page that needs nothing else: backends and groups at a glance, the matrices of behaviours,
// every case.

import { boundText } from '@batchnorm/reporting';
import { Html, html } from '@batchnorm/reporting/html';
import { htmlPage } from '@batchnorm/reporting/html-page';
import { describeAccumulation } from '../arithmetic.js';
import type { CaseResult } from '../conformance.js';
import type { Group } from '../conformance-case.js';
import { countsOf, countTexts, type Status, signs } from '../counts.js';
import type { BackendReport } from './backend-report.js';
import { failedFirst, firstMessages, isMeasured, measureTexts, ulpTexts, worstOf } from './kit-summary.js';
import { htmlMatrices } from './matrix-html.js';
import { style } from './report-html-style.js';
import { factsOf, groupsOf, inGroup, placeOf, type Run } from './run-summary.js';

/** A page that needs nothing else: what the kit found of each backend, and every failed check. */
export function htmlReport(run: Run): string {
  const { reports } = run;
  const results = reports.flatMap((report) => report.results);
  return htmlPage({
    title: 'BatchNorm conformance',
    style,
    facts: factsOf(run),
    summary: html`<p class="counts">${badges(results)}</p>
`,
    main: html`${overview(reports)}
<p class="quiet"><b>× bound</b>: the largest error as a share of what is derived as its bound; above 1 fails.
<b>ulp</b>: the largest relative error, whatever its bound, in units of the last place of the dtype.</p>
${htmlMatrices(reports, title)}
<h2>Every case</h2>
${reports.map((report) => backendDetails(report, groupsOf(reports)))}`,
  });
}

/** Such as '✓ 28 pass' and '⊘ 2 refused UNSUPPORTED'. */
function badges(results: readonly CaseResult[]): Html[] {
  return countTexts(results).map(
    ({ status, text, codes }) =>
      html`<span class="badge ${status}">${signs[status]} ${text}${codes === '' ? '' : html` <span class="codes">${codes}</span>`}</span> `,
  );
}

function statusOf(results: readonly CaseResult[]): Status | 'none' {
  const counts = countsOf(results);
  return (['failed', 'passed', 'refused', 'skipped'] as const).find((status) => counts[status] > 0) ?? 'none';
}

function overview(reports: readonly BackendReport[]): Html {
  const groups = groupsOf(reports);
  return html`<table class="overview">
<thead><tr><th scope="col">backend</th>${groups.map((group) => html`<th scope="col">${group}</th>`)}</tr></thead>
<tbody>
${reports.map((report) => overviewRow(report, groups))}
</tbody>
</table>`;
}

function overviewRow(report: BackendReport, groups: readonly Group[]): Html {
  const { results } = report;
  const cells =
    results.length === 0
      ? html`<td class="cell ${report.error === null ? 'none' : 'failed'}" colspan="${Math.max(groups.length, 1)}">${whyNotRun(report)}</td>`
      : groups.map((group) => overviewCell(group, inGroup(results, group)));
  return html`<tr><th scope="row">${title(report)}${executionNote(report)}</th>${cells}</tr>
`;
}

function overviewCell(group: Group, results: readonly CaseResult[]): Html {
  return html`<td class="cell ${statusOf(results)}"><span class="group">${group}</span>
<span class="counts">${badges(results)}</span>${accuracy(results)}</td>`;
}

function accuracy(results: readonly CaseResult[]): Html {
  const worst = worstOf(results);
  if (worst === undefined) return html``;
  if (worst.worst === 0) return html`<span class="accuracy">no error</span>`;
  return html`<span class="accuracy" title="${placeOf(worst)}">${boundText(worst.worst)} × bound${ulpTexts(results).map((text) => html`<br>${text} ulp`)}</span>`;
}

const title = ({ backend, platform }: BackendReport) => html`<b>${backend}</b> <span class="quiet">${platform}</span>`;

/** Under the name: where it ran, and in which arithmetic. */
function executionNote({ execution }: BackendReport): Html {
  if (execution === null) return html``;
  const { engine, accumulation, fallbackReason } = execution;
  const sums = `sums in ${describeAccumulation(accumulation)}`;
  const looser = sums === 'sums in float64' ? html`${sums}` : html`<b class="note">⚠ ${sums}</b>`;
  const fallback = fallbackReason === null ? html`` : html`<br><b class="note">⚠ fell back: ${fallbackReason}</b>`;
  return html`<br><span class="execution">${engine}<br>${looser}${fallback}</span>`;
}

function whyNotRun({ error, unavailable }: BackendReport): Html {
  return error === null
    ? html`<span class="badge">– not run</span> ${unavailable ?? 'no cases'}`
    : html`<span class="badge failed">✗ FAIL</span> ${error.split('\n')[0]!}`;
}

function backendDetails(report: BackendReport, groups: readonly Group[]): Html {
  const { results, error } = report;
  const open = error !== null || countsOf(results).failed > 0 ? new Html(' open') : '';
  return html`<details${open}>
<summary>${title(report)} <span class="counts">${results.length === 0 ? whyNotRun(report) : badges(results)}</span></summary>
${executionFacts(report)}
${error === null ? '' : html`<pre class="messages">${error}</pre>`}
${groups.filter((group) => inGroup(results, group).length > 0).map((group) => caseTable(group, inGroup(results, group)))}
</details>
`;
}

function executionFacts({ execution }: BackendReport): Html {
  if (execution === null) return html``;
  const { engine, device, threads, accumulation, fallbackReason } = execution;
  const facts = {
    engine,
    device,
    threads,
    'sums in': describeAccumulation(accumulation),
    'fell back': fallbackReason ?? 'no',
  };
  return html`<dl>${Object.entries(facts).map(([term, fact]) => html`<div><dt>${term}</dt><dd>${fact}</dd></div>`)}</dl>`;
}

/** What failed comes first. */
function caseTable(group: Group, results: readonly CaseResult[]): Html {
  return html`<table class="cases">
<caption>${group} <span class="counts">${badges(results)}</span></caption>
<thead><tr><th scope="col">case</th><th scope="col">dtype</th><th scope="col" class="ratio">× bound</th><th scope="col" class="number">ulp</th></tr></thead>
<tbody>
${failedFirst(results).map(caseRow)}
</tbody>
</table>`;
}

function caseRow(result: CaseResult): Html {
  const { group, source, name, dtype, status, code, where } = result;
  const place = [source === group ? '' : source, where, code ?? ''].filter((text) => text !== '').join(', ');
  const { bound, ulp } = measureTexts(result);
  return html`<tr class="${status}"><th scope="row"><span class="sign">${signs[status]}</span> ${name} <span class="quiet">${place}</span>${messages(result)}</th><td>${dtype}</td><td>${isMeasured(result) ? ratioBar(result) : bound}</td><td>${ulp}</td></tr>
`;
}

function messages(result: CaseResult): Html {
  if (result.messages.length === 0) return html``;
  return html`<ul class="messages">${firstMessages(result).map((line) => html`<li>${line}</li>`)}</ul>`;
}

/** A bar that is full at the bound. */
function ratioBar({ worst, status }: CaseResult): Html {
  if (worst === 0) return html`0`;
  const share = (Math.min(worst, 1) * 100).toFixed(1);
  return html`${boundText(worst)}${status === 'failed' ? ' FAIL' : ''}<span class="bar"><i style="width: ${share}%"></i></span>`;
}
