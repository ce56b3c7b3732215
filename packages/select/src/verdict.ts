// Which of the candidates that were measured is taken: one that comes later in their order only where it is better beyond
// doubt. What differs from one run to the next therefore does not change the choice.
import type { CandidateReport, Decision, SelectOptions } from './selection.js';

/** A candidate and why it is taken. */
export interface Verdict<T> {
  readonly chosen: T;
  readonly decision: Decision;
  readonly why: string;
}

type Prefer = NonNullable<SelectOptions['prefer']>;

interface Measured {
  readonly report: CandidateReport;
}

/**
 * One is faster beyond doubt where its median time, a tenth more of it, and 0.02 ms are less than the shortest time of the
 * other. A call on a small shape takes about 0.02 ms on any backend, and on a busy machine medians alone tell nothing.
 */
const [relativeMargin, marginMs] = [0.1, 0.02];

/**
 * The first, in their order, than which no other is better beyond doubt: those are tied. Undefined without any. Errors do
 * not differ between runs, so the smaller one is better.
 */
export function verdict<T extends Measured>(measured: readonly T[], prefer: Prefer): Verdict<T> | undefined {
  const { isBetter, text } = measures[prefer];
  const tied = measured.filter((one) => !measured.some((other) => isBetter(other.report, one.report)));
  const [chosen, ...others] = tied;
  if (chosen === undefined) return undefined;
  const textOf = ({ report }: Measured) => `'${report.name}' (${text(report)})`;
  if (others.length === 0) return { chosen, decision: 'best', why: `${textOf(chosen)} is the best by ${prefer}` };
  const why = `${textOf(chosen)} is tied with ${others.map(textOf).join(', ')}, and comes first in the candidates' order`;
  return { chosen, decision: 'tie', why };
}

interface Measure {
  readonly isBetter: (one: CandidateReport, other: CandidateReport) => boolean;
  readonly text: (report: CandidateReport) => string;
}

const measures: Readonly<Record<Prefer, Measure>> = {
  speed: {
    isBetter: (one, other) => one.milliseconds! * (1 + relativeMargin) + marginMs < other.leastMilliseconds!,
    text: ({ milliseconds, leastMilliseconds }) =>
      `${milliseconds!.toPrecision(3)} ms, at least ${leastMilliseconds!.toPrecision(3)}`,
  },
  accuracy: {
    isBetter: (one, other) => one.error! < other.error!,
    text: ({ error }) => `error ${error!.toExponential(1)}`,
  },
};
