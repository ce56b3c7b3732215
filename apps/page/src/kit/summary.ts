// What results of the kit come to: counts, and the largest errors.
import type { CaseResult, Group } from '@batchnorm/conformance';
import { boundText, ulpText } from '../number-text.js';

export type Status = CaseResult['status'];

export const groups: readonly Group[] = ['golden', 'exact', 'adversarial', 'behaviour'];

export function count(results: readonly CaseResult[], status: Status): number {
  return results.filter((result) => result.status === status).length;
}

export const signs: Readonly<Record<Status, string>> = { passed: '✓', failed: '✗', skipped: '–' };
const words: Readonly<Record<Status, string>> = { passed: 'pass', failed: 'FAIL', skipped: 'skip' };

/** Such as ['274 pass', '2 FAIL'], each with its status, without what there is none of. */
export function countTexts(results: readonly CaseResult[]): { readonly status: Status; readonly text: string }[] {
  return (['passed', 'failed', 'skipped'] as const)
    .map((status) => ({ status, cases: count(results, status) }))
    .filter(({ cases }) => cases > 0)
    .map(({ status, cases }) => ({ status, text: `${cases} ${words[status]}` }));
}

/** The result with the largest error over its bound. */
export function worstOf(results: readonly CaseResult[]): CaseResult | undefined {
  return results.reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
}

/** Such as 'at most 0.519 × bound, float32 1.14 ulp'; empty without results. */
export function accuracyText(results: readonly CaseResult[]): string {
  const worst = worstOf(results);
  if (worst === undefined) return '';
  return [`at most ${boundText(worst.worst)} × bound`, ...ulpTexts(results)].join(', ');
}

/** The largest of each dtype that has an error at all. */
function ulpTexts(results: readonly CaseResult[]): string[] {
  return [...new Set(results.map(({ dtype }) => dtype))]
    .map((dtype) => ({
      dtype,
      ulps: Math.max(0, ...results.filter((one) => one.dtype === dtype).map(({ ulps }) => ulps)),
    }))
    .filter(({ ulps }) => ulps > 0)
    .map(({ dtype, ulps }) => `${dtype} ${ulpText(ulps)} ulp`);
}
