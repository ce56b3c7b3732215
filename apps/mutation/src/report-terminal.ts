// What became of mutants, as text.
import Table from 'cli-table3';
import type { Mutant } from './mutant.js';
import { fractionOf, type Score, total } from './score.js';

/** One row for each file, and one for all. */
export function scoreTable(target: string, scores: ReadonlyMap<string, Score>): string {
  const table = new Table({
    head: [target, 'score', 'caught', 'of these endless', 'survived', 'equivalent'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const [file, score] of [...scores, ['all', total(scores.values())] as const]) {
    const { caught, endless, survived, equivalent } = score;
    const percent = `${(100 * fractionOf(score)).toFixed(1)} %`;
    table.push([file, percent, caught, endless, survived, equivalent]);
  }
  return table.toString();
}

/** Where each is, and what it changes, as the list of equivalents has it. */
export function linesOf(mutants: readonly Mutant[]): string[] {
  return mutants.map(({ file, within, location, from, to }) => {
    const place = `${file}:${location.start.line}${within && ` in ${within}`}`;
    return `${place} [${JSON.stringify(from)}, ${JSON.stringify(to)}]`;
  });
}
