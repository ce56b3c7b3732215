// What `pnpm bench:compare` says: a table for terminals, and the same in Markdown for a job summary.
import { digitsText, intervalText, markdownTable, right, shapeText } from '@batchnorm/reporting';
import { textTable } from '@batchnorm/reporting/terminal';
import type { Compared } from '../compare/compare.js';
import type { Answer } from '../compare/verdict.js';

const order: readonly Answer[] = ['slower', 'too noisy to tell', 'faster', 'unchanged'];
const signs: Readonly<Record<Answer, string>> = { slower: '✗', 'too noisy to tell': '?', faster: '▲', unchanged: '✓' };
const columns = ['', 'case', ...['base, µs', 'head, µs', 'head ÷ base'].map(right), 'answer'];

/** What needs attention comes first. */
export function comparisonTable(compared: readonly Compared[]): string {
  return textTable(columns, rowsOf(compared), { keys: 2 });
}

export function comparisonMarkdown(title: string, compared: readonly Compared[], notes: readonly string[]): string {
  return [
    `## ${title}`,
    '',
    summaryOf(compared),
    '',
    ...markdownTable(columns, rowsOf(compared)),
    '',
    ...notes.map((note) => `- ${note}`),
    '',
  ].join('\n');
}

/** Such as '1 slower, 23 unchanged'. */
export function summaryOf(compared: readonly Compared[]): string {
  return order
    .map((answer) => ({ answer, cases: compared.filter((one) => one.answer === answer).length }))
    .filter(({ cases }) => cases > 0)
    .map(({ answer, cases }) => `${cases} ${answer}`)
    .join(', ');
}

function rowsOf(compared: readonly Compared[]): string[][] {
  return compared
    .toSorted((a, b) => order.indexOf(a.answer) - order.indexOf(b.answer))
    .map(({ answer, case: { operation, shape, dtype, contender, memory }, base, head, ratio }) => [
      signs[answer],
      `${contender} ${operation} ${shapeText(shape)} ${dtype}${memory === 'host' ? '' : ` ${memory}`}`,
      digitsText(base * 1e6),
      digitsText(head * 1e6),
      intervalText(ratio),
      answer,
    ]);
}
