// Whether a run is in order. What a backend refuses as the contract has it, and what is skipped with a reason, is no
// failure.
import { countsOf } from '../counts.js';
import type { BackendReport } from './backend-report.js';
import { holesIn } from './run-summary.js';

/** Whether nothing is wrong, and what is. */
export interface Verdict {
  readonly ok: boolean;
  /** What is wrong beside failed cases and errors, which have lines of their own. */
  readonly lines: readonly string[];
}

/** What decides the exit code: `isRequired` says of which backends it is a failure when they can not run here. */
export function verdictOf(
  reports: readonly BackendReport[],
  isRequired: (report: BackendReport) => boolean = () => false,
): Verdict {
  const missing = reports.filter((report) => report.unavailable !== null && isRequired(report));
  const holes = holesIn(reports).length;
  const lines = [
    ...missing.map((report) => `${nameOf(report)} is required, and could not run here`),
    ...(holes > 0 ? [`HOLES in the matrix of behaviours: ${holes}; no case covers them, and nothing says why`] : []),
  ];
  const { failed } = countsOf(reports.flatMap(({ results }) => results));
  return { ok: lines.length === 0 && failed === 0 && reports.every(({ error }) => error === null), lines };
}

/** As REQUIRE_BACKENDS has it. */
export function nameOf({ backend, platform }: BackendReport): string {
  return platform === 'node' ? backend : `${backend}@${platform}`;
}
