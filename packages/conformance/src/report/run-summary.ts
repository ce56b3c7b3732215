// One run of the command, and what every report of it says: groups, the worst results, what it ran on, messages, holes.

import { executionText } from '@batchnorm/reporting';
import { describeAccumulation } from '../arithmetic.js';
import type { CaseResult } from '../conformance.js';
import { type Group, groups } from '../conformance-case.js';
import { caseName } from '../counts.js';
import type { BackendReport } from './backend-report.js';
import { firstMessages } from './kit-summary.js';
import { type Entry, holesOf, type Matrix, matrixOf } from './matrix.js';

/** What the kit found, and when, where and with which versions it ran. */
export interface Run {
  /** ISO 8601. */
  readonly date: string;
  /** Operating system and processor: 'linux x64'. */
  readonly machine: string;
  /** Of what it ran in: { node: '22.1.0' }. */
  readonly versions: Readonly<Record<string, string>>;
  readonly reports: readonly BackendReport[];
}

/** When, where and with which engines: what reports begin with. */
export function factsOf({ date, machine, versions }: Run): string[] {
  return [date, machine, ...Object.entries(versions).map(([name, version]) => `${name} ${version}`)];
}

/** The groups that have results. */
export function groupsOf(reports: readonly BackendReport[]): Group[] {
  return groups.filter((group) => reports.some(({ results }) => inGroup(results, group).length > 0));
}

export function inGroup(results: readonly CaseResult[], group: Group): CaseResult[] {
  return results.filter((result) => result.group === group);
}

/** Of what it ran on, or the reason why it did not run, in one line. */
export function runsOn({ execution, unavailable, error }: BackendReport): string {
  if (execution === null) return unavailable ?? error?.split('\n')[0] ?? '';
  const { accumulation, fallbackReason } = execution;
  const fallback = fallbackReason === null ? '' : `; fell back: ${fallbackReason}`;
  return `${executionText(execution)}, sums in ${describeAccumulation(accumulation)}${fallback}`;
}

/** What went wrong: some lines of each failed case. */
export function failuresOf({ error, results }: BackendReport): string[] {
  const inside = results
    .filter(({ status }) => status === 'failed')
    .flatMap((result) => firstMessages(result).map((line) => `${caseName(result)}: ${line}`));
  return error === null ? inside : [error, ...inside];
}

/** Where the result with the largest error over its bound is: 'float32 example-32x10 step 1 y'; empty without one. */
export function placeOf(worst: CaseResult | undefined): string {
  return worst ? `${worst.dtype} ${worst.name} ${worst.where}` : '';
}

/** The matrix of one of the run's backends; undefined where behaviours did not run. */
export function matrixIn(reports: readonly BackendReport[], { results }: BackendReport): Matrix | undefined {
  return matrixOf(
    results,
    reports.flatMap((report) => report.results),
  );
}

/** All of the run, each with whose matrix it is in. */
export function holesIn(reports: readonly BackendReport[]): Entry[] {
  return reports.flatMap((report) => holesOf(matrixIn(reports, report)));
}
