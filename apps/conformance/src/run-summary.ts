// One run of the command, and what every report of it says: counts, the worst results, what it ran on, messages.
import type { Platform } from '@batchnorm/catalogue';
import { type CaseResult, describeAccumulation, dtypes, type Group } from '@batchnorm/conformance';
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

export type Status = CaseResult['status'];

const groups: readonly Group[] = ['golden', 'exact', 'adversarial', 'behaviour'];

/** The groups that have results. */
export function groupsOf(reports: readonly BackendReport[]): Group[] {
  return groups.filter((group) => reports.some(({ results }) => inGroup(results, group).length > 0));
}

export function inGroup(results: readonly CaseResult[], group: Group): CaseResult[] {
  return results.filter((result) => result.group === group);
}

export function count(results: readonly CaseResult[], status: Status): number {
  return results.filter((result) => result.status === status).length;
}

const words: Readonly<Record<Status, string>> = { passed: 'pass', failed: 'FAIL', skipped: 'skip' };

/** Such as ['28 pass', '2 FAIL'], without what there is none of. */
export function countTexts(
  results: readonly CaseResult[],
  style: (status: Status, text: string) => string = (_, text) => text,
): string[] {
  return (['passed', 'failed', 'skipped'] as const)
    .map((status) => ({ status, cases: count(results, status) }))
    .filter(({ cases }) => cases > 0)
    .map(({ status, cases }) => style(status, `${cases} ${words[status]}`));
}

/** The result with the largest error over its bound. */
export function worstOf(results: readonly CaseResult[]): CaseResult | undefined {
  return results.reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
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

/** The name of a case within one backend. */
export function caseName({ dtype, source, name }: CaseResult): string {
  return `${dtype} ${source} ${name}`;
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

/** One line for each reason to skip, with the cases that it holds for. */
export function skipsOf({ results }: BackendReport, most = 3): string[] {
  const casesOf = new Map<string, string[]>();
  for (const result of results.filter(({ status }) => status === 'skipped')) {
    const reason = result.messages.join('; ');
    casesOf.set(reason, [...(casesOf.get(reason) ?? []), caseName(result)]);
  }
  return [...casesOf].map(([reason, cases]) => {
    const more = cases.length > most ? ` and ${cases.length - most} more` : '';
    return `${cases.length} skipped: ${reason} (${cases.slice(0, most).join(', ')}${more})`;
  });
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
