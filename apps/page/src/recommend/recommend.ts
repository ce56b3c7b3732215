// The rule: of the backends that failed no check, the one with the smallest median time for the shape and operation in
// question, as far as is known by now.
import { countsOf } from '@batchnorm/conformance';
import { product } from '@batchnorm/core-api';
import { type Operation, operations } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { type Spread, shareOfLimit, spreadOf } from '../bench/spread.js';
import { type Shape, sameShape } from '../shape.js';
import { type BackendFindings, type Timing, timingOf, troubleText, type Visit } from '../visit/visit.js';

export interface Ranked {
  readonly backend: BackendName;
  /** Seconds of one call. */
  readonly time: Spread;
  readonly share: Spread;
  /** How often it was timed. */
  readonly rounds: number;
  /** Whether it passed the kit to its end. What was timed is verified in any case. */
  readonly checked: boolean;
  /** So many times as fast with x in memory of the backend; null where it has none, or where that is unknown. */
  readonly gainOfMemory: number | null;
}

export interface Recommendation {
  readonly shape: Shape;
  readonly operation: Operation;
  /** The fastest first. */
  readonly ranking: readonly Ranked[];
  /** Backends that can't be recommended, and why. */
  readonly out: readonly { readonly backend: BackendName; readonly reason: string }[];
}

export function recommend(visit: Visit, shape: Shape, operation: Operation): Recommendation {
  const ranking: Ranked[] = [];
  const out: { backend: BackendName; reason: string }[] = [];
  for (const findings of visit.backends) {
    const { name, kitDone, timings } = findings;
    const timing = timingOf(timings, shape, operation);
    const reason = reasonAgainst(findings, shape) ?? (timing ? undefined : whyUntimed(visit, findings, shape));
    if (reason !== undefined) out.push({ backend: name, reason });
    else ranking.push({ backend: name, checked: kitDone, ...figures(timing!, timings) });
  }
  ranking.sort((a, b) => a.time.median - b.time.median);
  return { shape, operation, ranking, out };
}

function figures(timing: Timing, timings: readonly Timing[]): Omit<Ranked, 'backend' | 'checked'> {
  const time = spreadOf(timing.seconds);
  const allocated = timingOf(timings, timing.shape, timing.operation, 'allocated');
  const gainOfMemory = allocated ? time.median / spreadOf(allocated.seconds).median : null;
  return { time, share: shareOfLimit(timing), rounds: timing.seconds.length, gainOfMemory };
}

/** Whether the ranges that eight of ten rounds lie in overlap: then a second visit may turn the order round. */
export function overlap(a: Ranked, b: Ranked): boolean {
  return a.time.high >= b.time.low && b.time.high >= a.time.low;
}

/** From so many times as fast on, to have x in memory of the backend is worth a line of code. */
const worthwhile = 1.15;

export function ownMemoryPays({ gainOfMemory }: Ranked): boolean {
  return gainOfMemory !== null && gainOfMemory >= worthwhile;
}

/** A backend that takes more than so many times as long as the fastest will not overtake it. */
export const reach = 4;

/** The backends that may still turn out to be the fastest. */
export function inReach({ ranking }: Recommendation): Set<BackendName> {
  const [best] = ranking;
  return new Set(ranking.filter(({ time }) => time.median <= reach * best!.time.median).map(({ backend }) => backend));
}

/** From so many times the fastest's time on, a backend is not tried on smaller data, where calls cost even more. */
export const hopeless = 10;

/** Whether it is not worth the visitor's time to try a backend on this shape. */
export function isHopeless(visit: Visit, name: BackendName, shape: Shape): boolean {
  const { kit, shapes } = visit.settings;
  if (kit === 'all') return false;
  const larger = shapes.filter((one) => product(one) > product(shape));
  const lags = (one: Shape, operation: Operation) => {
    const { ranking } = recommend(visit, one, operation);
    const own = ranking.find(({ backend }) => backend === name);
    return own !== undefined && own.time.median > hopeless * ranking[0]!.time.median;
  };
  return larger.some((one) => operations.every((operation) => lags(one, operation)));
}

/**
 * The next backend for the kit, the closest to being the fastest at something first; undefined when every one is checked
 * that has to be.
 */
export function nextToCheck(visit: Visit): BackendName | undefined {
  const { kit, shapes } = visit.settings;
  if (kit === 'off') return undefined;
  const recommendations = shapes.flatMap((shape) => operations.map((operation) => recommend(visit, shape, operation)));
  const ratioOf = (name: BackendName) =>
    Math.min(
      ...recommendations.map(({ ranking }) => {
        const own = ranking.find(({ backend }) => backend === name);
        return own ? own.time.median / ranking[0]!.time.median : Number.POSITIVE_INFINITY;
      }),
    );
  const [next] = visit.backends
    .filter(({ available, kitDone, troubles }) => available && !kitDone && !troubles.some(endsChecking))
    .map(({ name }) => ({ name, ratio: ratioOf(name) }))
    .filter(({ ratio }) => kit === 'all' || shapes.length === 0 || ratio <= reach)
    .sort((a, b) => a.ratio - b.ratio);
  return next?.name;
}

/** What hung once is not waited for again. */
function endsChecking({ stage, code }: BackendFindings['troubles'][number]): boolean {
  return stage !== 'speed' || code === 'HUNG';
}

function whyUntimed(visit: Visit, { name, troubles: [trouble] }: BackendFindings, shape: Shape): string {
  if (trouble) return troubleText(trouble);
  return isHopeless(visit, name, shape)
    ? `not timed: on larger data it took more than ${hopeless} times as long as the fastest`
    : 'not timed';
}

/** Why a backend can't be recommended for this shape, whatever its speed; undefined if it can. */
function reasonAgainst({ available, results, troubles }: BackendFindings, shape: Shape): string | undefined {
  const trouble = troubles.find((one) => one.shape === undefined || sameShape(one.shape, shape));
  if (trouble) return troubleText(trouble);
  if (available === null) return 'not tried';
  const { failed } = countsOf(results);
  return failed > 0 ? `${failed} of ${results.length} checks failed` : undefined;
}
