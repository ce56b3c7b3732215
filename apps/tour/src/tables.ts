// What the tour found, as tables of text.

import { executionText, right, shapeText } from '@batchnorm/reporting';
import { textTable } from '@batchnorm/reporting/terminal';
import type { SelectionReport } from '@batchnorm/select';
import type { Found } from './candidates.js';

export function candidatesTable(found: readonly Found[]): string {
  return textTable(
    ['backend', 'here', { head: 'runs on, or why not', width: 80 }],
    found.map(({ candidate: { name }, execution, reason }) =>
      execution ? [name, 'yes', executionText(execution)] : [name, 'no', reason ?? ''],
    ),
  );
}

/** Milliseconds of a training step, one column for each shape, with a mark at the fastest. */
export function comparisonTable(shapes: readonly (readonly number[])[], reports: readonly SelectionReport[]): string {
  const rows = (reports[0]?.candidates ?? []).map(({ name, error }, index) => {
    const times = reports.map(({ chosen, candidates }) => {
      const { milliseconds } = candidates[index]!;
      if (milliseconds === null) return chosen === name ? '★ not timed' : 'failed';
      return `${chosen === name ? '★ ' : ''}${milliseconds.toPrecision(3)} ms`;
    });
    return [name, ...times, error === null ? '' : error.toExponential(1)];
  });
  return textTable(['backend', ...shapes.map(shapeText).map(right), right('error')], rows);
}

/** One line for each candidate and shape that dropped out. */
export function failures(shapes: readonly (readonly number[])[], reports: readonly SelectionReport[]): string[] {
  return reports.flatMap(({ candidates }, index) =>
    candidates
      .filter(({ available }) => available === false)
      .map(({ name, reason }) => `${name} at ${shapeText(shapes[index]!)}: ${reason}`),
  );
}
