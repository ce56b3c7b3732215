// One line of a history: one case of one run.
import { type Case, nameOfCase } from '../cases/case.js';
import { bytesMoved } from '../cases/streams.js';
import type { Kind } from '../contenders/contender.js';
import type { Measured } from '../timing/measure.js';
import { type Interval, medianInterval, ratios } from '../timing/statistics.js';
import type { Machine } from './machine.js';

/** Changes when a field changes its meaning. */
export const schema = 1;

/** What all lines of a run have in common. */
export interface RunFacts {
  readonly schema: typeof schema;
  /** When it began, ISO 8601. */
  readonly run: string;
  readonly commit: string;
  readonly machine: Machine;
  readonly node: string;
  readonly chromium?: string;
}

export interface HistoryRecord extends RunFacts, Case {
  /** Unique in a run, and the same in every run. */
  readonly name: string;
  readonly kind: Kind;
  /** The version of the backend's package, or of the peer's library. */
  readonly version: string;
  readonly engine: string;
  readonly threads: number;
  /** The largest error against the oracle: over its bound, and in units of the last place. */
  readonly error: { readonly overBound: number; readonly ulps: number };
  readonly rounds: number;
  /** Seconds per call: the median over rounds, with its 95 % interval. */
  readonly seconds: Interval;
  /** Seconds of the very first call, with what it compiled. */
  readonly first: number;
  /** Bytes that must move; and how many of them moved in a second, in units of 10⁹. */
  readonly bytes: number;
  readonly gigabytesPerSecond: number;
  /** Seconds of a copy that moves these bytes; and these as a share of the time per call: 1 is as fast as the copy. */
  readonly limit: number;
  readonly shareOfLimit: Interval;
  /** Time per call over that of the fixed reference case, so that runs of different days compare. */
  readonly ratioToReference: Interval;
}

export function recordOf(measured: Measured, version: string, facts: RunFacts): HistoryRecord {
  const { kind, description, verdict, first, times, copies, references } = measured;
  const one: Case = measured.case;
  const seconds = medianInterval(times);
  return {
    ...facts,
    name: nameOfCase(one),
    ...one,
    kind,
    version,
    engine: description.engine,
    threads: description.threads,
    error: { overBound: verdict.overBound, ulps: verdict.ulps },
    rounds: times.length,
    seconds,
    first,
    bytes: bytesMoved(one),
    gigabytesPerSecond: bytesMoved(one) / seconds.median / 1e9,
    limit: medianInterval(copies).median,
    shareOfLimit: medianInterval(ratios(copies, times)),
    ratioToReference: medianInterval(ratios(times, references)),
  };
}
