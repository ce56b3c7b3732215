// Mutants as lines of source: what a line was, and what it is in the mutant.
import type { MutantResult, MutantStatus, MutationTestResult } from 'mutation-testing-report-schema/api';

export interface Mutant {
  /** Its path in the repository. */
  readonly file: string;
  /** The function or method that it is in; empty outside of any. */
  readonly within: string;
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
        within: functionAt(lines.slice(0, start.line)),
        location,
        from: inOneLine(lines[start.line - 1]!),
        to: inOneLine(before + replacement + after),
        status,
      };
    });
  });
}

/** The name of the last function or method that begins in these lines: formatted code shows it. */
function functionAt(lines: readonly string[]): string {
  const beginning = /function (\w+)|^ {2}(?:async |get )?(#?\w+)(?:<.*>)?\((?:.*\{)?$/;
  const [, name, method] = beginning.exec(lines.findLast((line) => beginning.test(line)) ?? '') ?? [];
  return name ?? method ?? '';
}

function inOneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
