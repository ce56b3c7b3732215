// The rule: of the backends that passed every check, the one with the smallest median time for the shape and operation
// in question.
import { countsOf } from '@batchnorm/conformance';
import type { Operation } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { type Spread, shareOfLimit, spreadOf } from '../bench/spread.js';
import type { Shape } from '../shape.js';
import { type BackendFindings, type Timing, timingOf, troubleText, type Visit } from '../visit/visit.js';

export interface Ranked {
  readonly backend: BackendName;
  /** Seconds of one call. */
  readonly time: Spread;
  readonly share: Spread;
}

export interface Recommendation {
  readonly shape: Shape;
  readonly operation: Operation;
  /** The fastest first. */
  readonly ranking: readonly Ranked[];
  /** Backends that can't be recommended, and why. */
  readonly out: readonly { readonly backend: BackendName; readonly reason: string }[];
}

export function recommend({ backends, settings }: Visit, shape: Shape, operation: Operation): Recommendation {
  const ranking: Ranked[] = [];
  const out: { backend: BackendName; reason: string }[] = [];
  for (const findings of backends) {
    const timing = timingOf(findings.timings, shape, operation);
    const reason = reasonAgainst(findings, settings.kit) ?? whyNotTimed(findings, timing, settings.rounds);
    if (reason !== undefined) out.push({ backend: findings.name, reason });
    else ranking.push({ backend: findings.name, time: spreadOf(timing!.seconds), share: shareOfLimit(timing!) });
  }
  ranking.sort((a, b) => a.time.median - b.time.median);
  return { shape, operation, ranking, out };
}

/** Whether the ranges that eight of ten rounds lie in overlap: then a second visit may turn the order round. */
export function overlap(a: Ranked, b: Ranked): boolean {
  return a.time.high >= b.time.low && b.time.high >= a.time.low;
}

/** Why a backend can't be recommended, whatever its speed; undefined if it can. */
function reasonAgainst(findings: BackendFindings, kit: boolean): string | undefined {
  const { available, results, kitDone, troubles } = findings;
  const trouble = troubles.find(({ stage }) => stage !== 'speed');
  if (trouble) return troubleText(trouble);
  if (available === null) return 'not probed';
  const { failed } = countsOf(results);
  if (failed > 0) return `${failed} of ${results.length} cases failed`;
  return kit && !kitDone ? 'not checked to the end' : undefined;
}

/** Why its times say nothing for this shape, though it is right; undefined if they do. */
function whyNotTimed({ troubles }: BackendFindings, timing: Timing | undefined, rounds: number): string | undefined {
  if (timing?.seconds.length === rounds) return undefined;
  const trouble = troubles.find(({ stage }) => stage === 'speed');
  if (trouble) return troubleText(trouble);
  return timing ? undefined : 'not timed';
}
