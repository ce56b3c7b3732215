// One run of the command, and what every report of it says: groups, the worst results, what it ran on, messages, holes.
import type { Platform } from '@batchnorm/catalogue';
import { type CaseResult, caseName, describeAccumulation, dtypes, type Group, groups } from '@batchnorm/conformance';
import { type Entry, holesOf, type Matrix, matrixOf } from './matrix.js';
import type { BackendReport } from './run-backend.js';

export interface Run {
  /** ISO 8601. */
  readonly date: string;
  /** Operating system and processor: 'linux x64'. */
  readonly machine: string;
  /** Of Node, and of Chromium where it ran. */
  readonly versions: Readonly<Partial<Record<Platform, string>>>;
  readonly reports: readonly BackendReport[];
}

/** The groups that have results. */
export function groupsOf(reports: readonly BackendReport[]): Group[] {
  return groups.filter((group) => reports.some(({ results }) => inGroup(results, group).length > 0));
}

export function inGroup(results: readonly CaseResult[], group: Group): CaseResult[] {
  return results.filter((result) => result.group === group);
}

/** Of what was measured, the result with the largest error over its bound. */
export function worstOf(results: readonly CaseResult[]): CaseResult | undefined {
  return results
    .filter(({ status }) => status === 'passed' || status === 'failed')
    .reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
}

/** The largest of each dtype that has an error at all, such as ['float32 0.499', 'float64 4.66']. */
export function ulpTexts(results: readonly CaseResult[]): string[] {
  return dtypes
    .map((dtype) => ({
      dtype,
      ulps: Math.max(0, ...results.filter((one) => one.dtype === dtype).map(({ ulps }) => ulps)),
    }))
    .filter(({ ulps }) => ulps > 0)
    .map(({ dtype, ulps }) => `${dtype} ${formatUlps(ulps)}`);
}

/** Of what it ran on, or the reason why it did not run, in one line. */
export function runsOn({ execution, unavailable, error }: BackendReport): string {
  if (execution === null) return unavailable ?? error?.split('\n')[0] ?? '';
  const { engine, device, threads, accumulation, fallbackReason } = execution;
  const fallback = fallbackReason === null ? '' : `; fell back: ${fallbackReason}`;
  return `${engine} on ${device}, ${threads === 1 ? '1 thread' : `${threads} threads`}, sums in ${describeAccumulation(accumulation)}${fallback}`;
}

/** The first messages of a case, and how many there are beyond. */
export function firstMessages({ messages }: CaseResult, most = 3): string[] {
  const more = messages.length > most ? [`… and ${messages.length - most} more`] : [];
  return [...messages.slice(0, most), ...more];
}

/** What went wrong: some lines of each failed case. */
export function failuresOf({ error, results }: BackendReport): string[] {
  const inside = results
    .filter(({ status }) => status === 'failed')
    .flatMap((result) => firstMessages(result).map((line) => `${caseName(result)}: ${line}`));
  return error === null ? inside : [error, ...inside];
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

/** An error over its bound. */
export function formatRatio(ratio: number): string {
  if (!Number.isFinite(ratio)) return '∞';
  return ratio < 1000 ? ratio.toFixed(4) : ratio.toExponential(1);
}

export function formatUlps(ulps: number): string {
  if (!Number.isFinite(ulps)) return '∞';
  if (ulps === 0) return '0';
  return ulps < 0.001 || ulps >= 1000 ? ulps.toExponential(1) : ulps.toPrecision(3);
}
