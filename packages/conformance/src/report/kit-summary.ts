// What results of the conformance kit come to, in the words that every report has for it.

import { boundText, ulpText } from '@batchnorm/reporting';
import { type CaseResult, dtypes } from '../conformance.js';
import { countTexts, type Status } from '../counts.js';

/** Whether results were compared: a refusal and a skip have no error. */
export function isMeasured({ status }: CaseResult): boolean {
  return status === 'passed' || status === 'failed';
}

/** Of what was measured, the result with the largest error over its bound. */
export function worstOf(results: readonly CaseResult[]): CaseResult | undefined {
  return results
    .filter(isMeasured)
    .reduce<CaseResult | undefined>((a, b) => (a && a.worst >= b.worst ? a : b), undefined);
}

/** The largest error of each dtype that has one at all: ['float32 0.499', 'float64 4.66']. */
export function ulpTexts(results: readonly CaseResult[]): string[] {
  return dtypes.flatMap((dtype) => {
    const ulps = Math.max(0, ...results.filter((one) => one.dtype === dtype).map((one) => one.ulps));
    return ulps > 0 ? [`${dtype} ${ulpText(ulps)}`] : [];
  });
}

/** 'at most 0.5190 × bound, float32 1.14 ulp'; empty where nothing was measured. */
export function accuracyText(results: readonly CaseResult[]): string {
  const worst = worstOf(results);
  if (worst === undefined) return '';
  return [`at most ${boundText(worst.worst)} × bound`, ...ulpTexts(results).map((text) => `${text} ulp`)].join(', ');
}

/** '28 pass, 2 refused DTYPE_MISMATCH' */
export function countsText(results: readonly CaseResult[]): string {
  return countTexts(results)
    .map(({ text, codes }) => `${text} ${codes}`.trim())
    .join(', ');
}

/**
 * What the two columns of a list of cases say: error over bound, and error in ulp; 'refused' or 'skip' where there is
 * none.
 */
export function measureTexts(result: CaseResult): { readonly bound: string; readonly ulp: string } {
  if (isMeasured(result)) return { bound: boundText(result.worst), ulp: ulpText(result.ulps) };
  return { bound: result.status === 'refused' ? 'refused' : 'skip', ulp: '' };
}

const order: readonly Status[] = ['failed', 'skipped', 'refused', 'passed'];

/** The order of lists of cases: what failed first, what passed last. */
export function failedFirst(results: readonly CaseResult[]): CaseResult[] {
  return results.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
}

/** The first messages of a case, and how many there are beyond. */
export function firstMessages({ messages }: CaseResult, most = 3): string[] {
  const more = messages.length > most ? [`… and ${messages.length - most} more`] : [];
  return [...messages.slice(0, most), ...more];
}
