// What the tour found, as tables of text.
import type { SelectionReport } from '@batchnorm/select';
import Table from 'cli-table3';
import type { Found } from './candidates.js';

const plain = {
  style: { head: [], border: [] },
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
};

export function candidatesTable(found: readonly Found[]): string {
  const table = new Table({
    ...plain,
    head: ['backend', 'here', 'runs on, or why not'],
    colWidths: [null, null, 80],
    wordWrap: true,
  });
  for (const { candidate, execution, reason } of found) {
    const { engine, device, threads } = execution ?? {};
    table.push(
      execution
        ? [candidate.name, 'yes', `${engine} on ${device}, ${threads === 1 ? '1 thread' : `${threads} threads`}`]
        : [candidate.name, 'no', reason],
    );
  }
  return table.toString();
}

/** Milliseconds of a training step, one column for each shape, with a mark at the fastest. */
export function comparisonTable(shapes: readonly (readonly number[])[], reports: readonly SelectionReport[]): string {
  const table = new Table({
    ...plain,
    head: ['backend', ...shapes.map((shape) => shape.join('×')), 'error'],
    colAligns: ['left', ...shapes.map(() => 'right' as const), 'right'],
  });
  reports[0]?.candidates.forEach(({ name, error }, index) => {
    const times = reports.map(({ chosen, candidates }) => {
      const { milliseconds } = candidates[index]!;
      if (milliseconds === null) return 'failed';
      return `${chosen === name ? '★ ' : ''}${milliseconds.toPrecision(3)} ms`;
    });
    table.push([name, ...times, error === null ? '' : error.toExponential(1)]);
  });
  return table.toString();
}

/** One line for each candidate and shape that dropped out. */
export function failures(shapes: readonly (readonly number[])[], reports: readonly SelectionReport[]): string[] {
  return reports.flatMap(({ candidates }, index) =>
    candidates
      .filter(({ available }) => available === false)
      .map(({ name, reason }) => `${name} at ${shapes[index]!.join('×')}: ${reason}`),
  );
}
