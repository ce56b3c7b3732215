// What a run found, for programs.
import { countsOf } from '../counts.js';
import { holesOf } from './matrix.js';
import { matrixIn, type Run } from './run-summary.js';

/**
 * An error without a finite measure has `"worst": null` and `"ulps": null`. `holes` are the places of the matrix of
 * behaviours that no case covers, and where nothing says why.
 */
export function jsonReport({ date, machine, versions, reports }: Run): string {
  const results = reports.flatMap((report) => report.results);
  const document = {
    formatVersion: 3,
    date,
    platform: { machine, ...versions },
    ...countsOf(results),
    backends: reports.map(({ results, ...report }) => ({
      ...report,
      ...countsOf(results),
      holes: holesOf(matrixIn(reports, { ...report, results })).map(({ place, remarks }) => ({
        ...place,
        note: remarks[0]!.note,
      })),
      results,
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
