// What results of the kit come to: the largest errors.
import type { CaseResult } from '@batchnorm/conformance';
import { boundText, ulpText } from '../number-text.js';

/** Of what was measured, the result with the largest error over its bound. */
export function worstOf(results: readonly CaseResult[]): CaseResult | undefined {
  return results
    .filter(({ status }) => status === 'passed' || status === 'failed')
    .reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
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
