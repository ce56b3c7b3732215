// How fast each backend is here, shape by shape.
import type { Backend } from '@batchnorm/core-api';
import { type Candidate, type SelectionReport, selectBackend } from '@batchnorm/select';

export type Shape = readonly number[];

/** The budget of each candidate and shape: enough for a median of several samples. */
const millisecondsEach = 100;

export interface Comparison {
  /** The choice for the first shape, which the caller disposes. */
  readonly backend: Backend;
  /** One for each shape, in order. */
  readonly reports: readonly SelectionReport[];
}

/** Errors: `BACKEND_UNAVAILABLE` when none works. */
export async function compare(
  candidates: readonly Candidate[],
  [first, ...others]: readonly [Shape, ...Shape[]],
): Promise<Comparison> {
  const budgetMs = millisecondsEach * candidates.length;
  const choice = await selectBackend(candidates, { shape: first, budgetMs });
  const reports = [choice.report];
  for (const shape of others) {
    const { backend, report } = await selectBackend(candidates, { shape, budgetMs });
    await backend.dispose();
    reports.push(report);
  }
  return { backend: choice.backend, reports };
}
