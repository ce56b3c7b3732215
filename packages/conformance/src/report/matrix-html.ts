// The matrices of behaviours as HTML: rules down, memory × layout × size across, footnotes for what did not simply
// pass.
import { Html, html } from '@batchnorm/reporting/html';
import type { BackendReport } from './backend-report.js';
import {
  axes,
  type Column,
  columns,
  type Entry,
  entriesOf,
  entryCounts,
  entrySigns,
  footnotesOf,
  type Matrix,
} from './matrix.js';
import { holesIn, matrixIn } from './run-summary.js';

/** A section; nothing where no behaviours ran. */
export function htmlMatrices(reports: readonly BackendReport[], title: (report: BackendReport) => Html): Html {
  const matrices = reports.flatMap((report) => {
    const matrix = matrixIn(reports, report);
    return matrix ? [details(title(report), matrix)] : [];
  });
  if (matrices.length === 0) return html``;
  return html`<h2>Behaviours</h2>
${alarm(holesIn(reports).length)}
${Object.entries(axes).map(([axis, values]) => legend(axis, values))}
${matrices}`;
}

function alarm(holes: number): Html {
  return holes === 0 ? html`` : html`<p class="alarm">HOLES: ${holes}. No case covers them, and nothing says why.</p>`;
}

function legend(axis: string, values: Readonly<Record<string, string>>): Html {
  return html`<p class="quiet">${axis}: ${Object.entries(values).map(([value, meaning], index) => html`${index > 0 ? ', ' : ''}<b>${value}</b> ${meaning}`)}</p>
`;
}

function details(title: Html, matrix: Matrix): Html {
  const { texts, numbersOf } = footnotesOf(matrix);
  const counts = entryCounts(matrix.entries);
  const open = counts.some(({ status }) => status === 'failed' || status === 'hole') ? new Html(' open') : '';
  return html`<details${open}>
<summary>${title} <span class="counts">${counts.map(({ status, text }) => html`<span class="badge ${status}">${text}</span> `)}</span></summary>
<div class="scroll" tabindex="0"><table class="matrix">
<thead>
<tr><th scope="col" rowspan="3">rule</th><th scope="col" rowspan="3">dtype</th>${heads('memory')}</tr>
<tr>${heads('layout')}</tr>
<tr>${heads('size')}</tr>
</thead>
${matrix.rules.map((rule) => ruleRows(rule, matrix, numbersOf))}
</table></div>
<ol class="remarks">${texts.map((text) => html`<li>${text}</li>`)}</ol>
</details>
`;
}

/** One head over all columns that are alike up to this axis. */
function heads(axis: keyof Column): Html[] {
  const upTo = (column: Column) => {
    const { memory, layout, size } = column;
    return { memory, layout: `${memory} ${layout}`, size: `${memory} ${layout} ${size}` }[axis];
  };
  return columns
    .filter((column, index) => index === 0 || upTo(column) !== upTo(columns[index - 1]!))
    .map((column) => {
      const span = columns.filter((other) => upTo(other) === upTo(column)).length;
      return html`<th scope="${span === 1 ? 'col' : 'colgroup'}" colspan="${span}">${column[axis]}</th>`;
    });
}

function ruleRows(rule: string, matrix: Matrix, numbersOf: (entry: Entry) => number[]): Html {
  return html`<tbody>
${matrix.dtypes.map((dtype, index) => {
  const name = html`<th scope="rowgroup" rowspan="${matrix.dtypes.length}">${rule}</th>`;
  const cells = entriesOf(matrix, rule, dtype).map((entry) => cell(entry, numbersOf(entry)));
  return html`<tr>${index === 0 ? name : ''}<th scope="row">${dtype}</th>${cells}</tr>
`;
})}
</tbody>
`;
}

function cell({ place, status, remarks }: Entry, numbers: readonly number[]): Html {
  const { rule, memory, layout, size, dtype } = place;
  const title = [`${rule}: ${memory}, ${layout}, ${size}, ${dtype}: ${status}`, ...remarks.map(({ note }) => note)];
  return html`<td class="${status}" title="${title.join('\n')}">${entrySigns[status]}${numbers.map((number) => html`<sup>${number}</sup>`)}</td>`;
}
