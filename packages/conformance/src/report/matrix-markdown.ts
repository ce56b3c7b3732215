// The matrices of behaviours as Markdown: closed, because they are long.
import { escapeMarkdown, markdownTable } from '@batchnorm/reporting';
import { html } from '@batchnorm/reporting/html';
import type { BackendReport } from './backend-report.js';
import { axes, columns, entriesOf, entryCounts, entrySigns, footnotesOf, type Matrix } from './matrix.js';
import { matrixIn } from './run-summary.js';

/** Lines; none where no behaviours ran. */
export function markdownMatrices(reports: readonly BackendReport[]): string[] {
  const matrices = reports.flatMap((report) => {
    const matrix = matrixIn(reports, report);
    return matrix ? details(report, matrix) : [];
  });
  return matrices.length === 0 ? [] : ['', '## Behaviours', '', ...legend, ...matrices];
}

const legend = Object.entries(axes).map(([axis, values]) => {
  const meanings = Object.entries(values).map(([value, meaning]) => `${value} (${meaning})`);
  return `- ${escapeMarkdown(`${axis}: ${meanings.join(', ')}`)}`;
});

function details({ backend, platform }: BackendReport, matrix: Matrix): string[] {
  const { texts, numbersOf } = footnotesOf(matrix);
  const counts = entryCounts(matrix.entries).map(({ text }) => text);
  const heads = ['rule', 'dtype', ...columns.map(({ memory, layout, size }) => `${memory} ${layout} ${size}`)];
  const rows = matrix.rules.flatMap((rule) =>
    matrix.dtypes.map((dtype) => [
      escapeMarkdown(rule),
      dtype,
      ...entriesOf(matrix, rule, dtype).map((entry) =>
        [entrySigns[entry.status], ...numbersOf(entry).map((number) => `<sup>${number}</sup>`)].join(' '),
      ),
    ]),
  );
  return [
    '',
    html`<details><summary>${backend} ${platform}: ${counts.join(', ')}</summary>`.text,
    '',
    ...markdownTable(heads, rows),
    '',
    ...texts.map((text, index) => `${index + 1}. ${escapeMarkdown(text)}`),
    '',
    '</details>',
  ];
}
