// What became of mutants, as text.
import Table from 'cli-table3';
import type { Mutant } from './mutant.js';
import { fractionOf, type Score, total } from './score.js';

/** One row for each file, and one for all. */
export function scoreTable(target: string, scores: ReadonlyMap<string, Score>): string {
  const table = new Table({
    head: [target, 'score', 'caught', 'survived', 'equivalent'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const [file, score] of [...scores, ['all', total(scores.values())] as const]) {
    const { caught, survived, equivalent } = score;
    table.push([file, `${(100 * fractionOf(score)).toFixed(1)} %`, caught, survived, equivalent]);
  }
  return table.toString();
}

/** Where each is, and what it changes, as the list of equivalents has it. */
export function linesOf(mutants: readonly Mutant[]): string[] {
  return mutants.map(
    ({ file, location, from, to }) => `${file}:${location.start.line} [${JSON.stringify(from)}, ${JSON.stringify(to)}]`,
  );
}
