// What `pnpm bench:compare` says: a table for terminals, and the same in Markdown for a job summary.
import Table from 'cli-table3';
import { nameOfShape } from '../cases/case.js';
import type { Compared } from '../compare/compare.js';
import type { Answer } from '../compare/verdict.js';
import { formatInterval, formatNumber } from './format.js';

const order: readonly Answer[] = ['slower', 'too noisy to tell', 'faster', 'unchanged'];
const signs: Readonly<Record<Answer, string>> = { slower: '✗', 'too noisy to tell': '?', faster: '▲', unchanged: '✓' };
const head = ['', 'case', 'base, µs', 'head, µs', 'head ÷ base', 'answer'];

/** What needs attention comes first. */
export function comparisonTable(compared: readonly Compared[]): string {
  const table = new Table({
    head,
    colAligns: ['left', 'left', 'right', 'right', 'right', 'left'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  table.push(...rowsOf(compared));
  return table.toString();
}

export function comparisonMarkdown(title: string, compared: readonly Compared[], notes: readonly string[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    `## ${title}`,
    '',
    summaryOf(compared),
    '',
    line(head),
    line(['---', '---', '--:', '--:', '--:', '---']),
    ...rowsOf(compared).map(line),
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
      `${contender} ${operation} ${nameOfShape(shape)} ${dtype}${memory === 'host' ? '' : ` ${memory}`}`,
      formatNumber(base * 1e6),
      formatNumber(head * 1e6),
      formatInterval(ratio),
      answer,
    ]);
}
