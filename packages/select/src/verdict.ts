// Which of the candidates that were measured is taken. The same measurements give the same choice, and so do
// measurements that differ by no more than they differ from one run to the next.
import type { CandidateReport, Decision, SelectOptions } from './selection.js';

/** A candidate and why it is taken. */
export interface Verdict<T> {
  readonly chosen: T;
  readonly decision: Decision;
  readonly why: string;
}

/**
 * Times are tied when the longer one is at most a tenth longer than the shortest, and 0.02 ms more: a call on a small
 * shape takes about that in either case, and which of two is ahead differs from run to run.
 */
const [relativeMargin, marginMs] = [0.1, 0.02];

/**
 * The first, in their order, of the candidates that are tied with the best; undefined without any. Errors are tied when
 * they are equal: they do not differ between runs.
 */
export function verdict<T extends { readonly report: CandidateReport }>(
  measured: readonly T[],
  prefer: NonNullable<SelectOptions['prefer']>,
): Verdict<T> | undefined {
  const { of, limit, text } = measures[prefer];
  const sorted = [...measured].sort((a, b) => of(a.report) - of(b.report));
  const [best, second] = sorted;
  if (best === undefined) return undefined;
  const most = limit(of(best.report));
  const tied = measured.filter(({ report }) => of(report) <= most);
  const [chosen] = tied;
  const [name, value] = [chosen!.report.name, text(chosen!.report)];
  if (tied.length > 1) {
    const others = tied.slice(1).map(({ report }) => `'${report.name}' (${text(report)})`);
    const why = `'${name}' (${value}) is tied with ${others.join(', ')}, and comes first in the order of the candidates`;
    return { chosen: chosen!, decision: 'tie', why };
  }
  const next = second === undefined ? '' : `; next is '${second.report.name}' (${text(second.report)})`;
  return { chosen: chosen!, decision: 'best', why: `'${name}' is the best by ${prefer} (${value})${next}` };
}

interface Measure {
  readonly of: (report: CandidateReport) => number;
  /** Up to which value others are tied with the best one. */
  readonly limit: (best: number) => number;
  readonly text: (report: CandidateReport) => string;
}

const measures: Readonly<Record<NonNullable<SelectOptions['prefer']>, Measure>> = {
  speed: {
    of: ({ milliseconds }) => milliseconds!,
    limit: (best) => best * (1 + relativeMargin) + marginMs,
    text: ({ milliseconds }) => `${milliseconds!.toPrecision(3)} ms`,
  },
  accuracy: {
    of: ({ error }) => error!,
    limit: (best) => best,
    text: ({ error }) => `error ${error!.toExponential(1)}`,
  },
};
