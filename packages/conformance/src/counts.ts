// How many cases passed, failed, were refused and skipped, as text, with the codes of refusals and the reasons of
// skips.
import type { CaseResult } from './conformance.js';

/** How a case came out. */
export type Status = CaseResult['status'];

/** In the order of reports. */
export const statuses: readonly Status[] = ['passed', 'failed', 'refused', 'skipped'];

/** A character for each status. */
export const signs: Readonly<Record<Status, string>> = { passed: '✓', failed: '✗', refused: '⊘', skipped: '–' };

const words: Readonly<Record<Status, string>> = { passed: 'pass', failed: 'FAIL', refused: 'refused', skipped: 'skip' };

/** How many results have each status. */
export function countsOf(results: readonly CaseResult[]): Record<Status, number> {
  const counts = { passed: 0, failed: 0, refused: 0, skipped: 0 };
  for (const { status } of results) counts[status]++;
  return counts;
}

/** All four: '612 passed, 0 failed, 4 refused (DTYPE_MISMATCH), 1 skipped'. */
export function countsLine(results: readonly CaseResult[]): string {
  const counts = countsOf(results);
  const codes = counts.refused === 0 ? '' : ` (${codesText(results)})`;
  return statuses.map((status) => `${counts[status]} ${status}${status === 'refused' ? codes : ''}`).join(', ');
}

/** The number of results of one status, in words. */
export interface CountText {
  readonly status: Status;
  /** Such as '612 pass' or '4 refused'. */
  readonly text: string;
  /** Those of refusals: 'DTYPE_MISMATCH'. */
  readonly codes: string;
}

/** Texts for the cells of tables, without counts of 0. */
export function countTexts(results: readonly CaseResult[]): CountText[] {
  const counts = countsOf(results);
  return statuses
    .filter((status) => counts[status] > 0)
    .map((status) => ({
      status,
      text: `${counts[status]} ${words[status]}`,
      codes: status === 'refused' ? codesText(results) : '',
    }));
}

/** 'DTYPE_MISMATCH', or where there are several '3 DTYPE_MISMATCH, 1 UNSUPPORTED'. */
function codesText(results: readonly CaseResult[]): string {
  const codes = [...byReason(results, 'refused')];
  if (codes.length === 1) return codes[0]![0];
  return codes.map(([code, { length }]) => `${length} ${code}`).join(', ');
}

/** One line for each code of a refusal and each reason to skip, with the first cases that it holds for. */
export function explanations(results: readonly CaseResult[], most = 3): string[] {
  return (['refused', 'skipped'] as const).flatMap((status) =>
    [...byReason(results, status)].map(([reason, cases]) => {
      const more = cases.length > most ? ` and ${cases.length - most} more` : '';
      return `${cases.length} ${status}: ${reason} (${cases.slice(0, most).map(caseName).join(', ')}${more})`;
    }),
  );
}

function byReason(results: readonly CaseResult[], status: 'refused' | 'skipped'): Map<string, CaseResult[]> {
  const groups = new Map<string, CaseResult[]>();
  for (const result of results) {
    if (result.status !== status) continue;
    const reason = reasonOf(result);
    groups.set(reason, [...(groups.get(reason) ?? []), result]);
  }
  return groups;
}

/** The code of a refusal, the reason of a skip, the first message of a failure; empty where there is none. */
export function reasonOf({ status, code, messages }: CaseResult): string {
  if (status === 'refused') return code ?? '';
  return (status === 'failed' ? messages[0] : messages.join('; ')) ?? '';
}

/** The name of a case within one backend. */
export function caseName({ dtype, source, name }: CaseResult): string {
  return `${dtype} ${source} ${name}`;
}
