// Mutants as lines of source: what a line was, and what it is in the mutant.
import type { MutantResult, MutantStatus, MutationTestResult } from 'mutation-testing-report-schema/api';

export interface Mutant {
  /** Its path in the repository. */
  readonly file: string;
  /** Where the mutated code begins and ends; lines and columns count from 1. */
  readonly location: MutantResult['location'];
  /** The first of its lines, as it is. */
  readonly from: string;
  /** The same in the mutant, up to the end of the last of its lines. */
  readonly to: string;
  readonly status: MutantStatus;
}

/** The mutants of a report that Stryker wrote as JSON. */
export function mutantsOf({ files }: MutationTestResult): Mutant[] {
  return Object.entries(files).flatMap(([file, { source, mutants }]) => {
    const lines = source.split('\n');
    return mutants.map(({ location, replacement = '', status }) => {
      const { start, end } = location;
      const before = lines[start.line - 1]!.slice(0, start.column - 1);
      const after = lines[end.line - 1]!.slice(end.column - 1);
      return {
        file,
        location,
        from: inOneLine(lines[start.line - 1]!),
        to: inOneLine(before + replacement + after),
        status,
      };
    });
  });
}

function inOneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
