// Moments of each channel's values: those of two sets of values merge to those of both. And the same as plain JSON.
import { describe } from './describe.js';
import { refuse } from './errors.js';
import { assertCount, copiedVector, refuseState } from './state-vectors.js';
import { readUntrusted } from './untrusted.js';
import { zeros } from './vector.js';

/** What is known of values that need not be there any more: their number, their mean, and how far they lie from it. */
export interface Moments {
  /** How many values each channel has. */
  readonly count: number;
  /** [C]. Of no values it says nothing. */
  readonly mean: Float64Array;
  /** Σ (x − mean)², [C]: count times the population variance. */
  readonly m2: Float64Array;
}

/** Mean and population variance, [C] each. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Plain JSON: every number survives `JSON.parse(JSON.stringify(state))` to the bit. */
export interface MomentsState {
  readonly formatVersion: 1;
  readonly count: number;
  /** [C] */
  readonly mean: readonly number[];
  /** [C] */
  readonly m2: readonly number[];
}

const formatVersion = 1;

/**
 * The moments of the values of a and of b together, as if they had been one batch (Chan, Golub and LeVeque, 1983, The
 * American Statistician 37). Either may have no values. Bits depend on the order: merge in a fixed one.
 *
 * Errors: `INVALID_STATE` for what are no moments, or have another number of channels; `NON_FINITE_STATISTICS` where
 * float64 can't hold the result.
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const first = checkedMoments(a);
  return merged(first, checkedMoments(b, first.mean.length));
}

/** `mergeMoments` of moments that have been checked. */
export function merged(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  assertCount('count', count);
  const [mean, m2] = [zeros(a.mean.length), zeros(a.mean.length)];
  mergeInto(mean, m2, a, b);
  return finite({ count, mean, m2 });
}

/**
 * With δ = mean_b − mean_a and n = n_a + n_b: mean = mean_a + δ · n_b/n and m2 = m2_a + m2_b + δ² · n_a n_b/n. The
 * vectors that receive them may be those of a or b.
 */
export function mergeInto(mean: Float64Array, m2: Float64Array, a: Moments, b: Moments): void {
  if (a.count === 0 || b.count === 0) {
    // Exactly the other's: mean_a + (mean_b − mean_a) would be rounded.
    const all = b.count === 0 ? a : b;
    mean.set(all.mean);
    m2.set(all.m2);
    return;
  }
  // The weight lies between 1/2 and the smaller count, and δ is multiplied in twice: nothing overflows but results.
  const taken = b.count / (a.count + b.count);
  const weight = a.count * taken;
  for (let c = 0; c < mean.length; c++) {
    const delta = b.mean[c]! - a.mean[c]!;
    m2[c] = a.m2[c]! + b.m2[c]! + delta * (delta * weight);
    mean[c] = a.mean[c]! + delta * taken;
  }
}

/** Of no values, in C channels. */
export function noMoments(C: number): Moments {
  return { count: 0, mean: zeros(C), m2: zeros(C) };
}

/** Mean and population variance, in vectors of their own. */
export function statisticsOf({ count, mean, m2 }: Moments): Statistics {
  return { mean: mean.slice(), variance: m2.map((square) => square / count) };
}

/** The same numbers in vectors of their own. */
export function copyOf({ mean, variance }: Statistics): Statistics {
  return { mean: mean.slice(), variance: variance.slice() };
}

/** The same in vectors of their own. Errors: `NON_FINITE_STATISTICS`. */
export function copiedMoments({ count, mean, m2 }: Moments): Moments {
  return finite({ count, mean: withoutNegativeZero(mean), m2: withoutNegativeZero(m2) });
}

/**
 * Errors: `NON_FINITE_STATISTICS`, which names the first channel of a batch whose mean or variance is none; `batch` is
 * what messages call it.
 */
export function assertFiniteMoments({ mean, m2 }: Moments, batch = 'a batch'): void {
  assertFinite(batch, 'mean', mean);
  assertFinite(batch, 'variance', m2);
}

function finite(moments: Moments): Moments {
  assertFinite('moments', 'mean', moments.mean);
  assertFinite('moments', 'm2', moments.m2);
  return moments;
}

/** Errors: `NON_FINITE_STATISTICS`, which names the first channel whose value is NaN or infinite. */
export function assertFinite(whose: string, name: string, values: Float64Array): void {
  for (let c = 0; c < values.length; c++) {
    if (!Number.isFinite(values[c])) {
      refuse(
        'NON_FINITE_STATISTICS',
        `${whose} whose ${name} of channel ${c} is ${values[c]}`,
        'finite values: it would poison the running statistics',
      );
    }
  }
}

/** Errors: `INVALID_STATE` for what are no moments. */
export function writeMoments(moments: Moments): MomentsState {
  const { count, mean, m2 } = checkedMoments(moments);
  return { formatVersion, count, mean: [...mean], m2: [...m2] };
}

/** What `writeMoments` wrote, of `numFeatures` channels where that is given. Errors: `INVALID_STATE`. */
export function readMoments(state: MomentsState, numFeatures?: number): Moments {
  return readUntrusted('INVALID_STATE', 'fields of moments', () => {
    const version: unknown = Object(state).formatVersion;
    if (version !== formatVersion) refuseState(`formatVersion ${describe(version)}`, `formatVersion ${formatVersion}`);
    return checkedMoments(state, numFeatures);
  });
}

/** A copy of `value`, of C channels where C is given. Errors: `INVALID_STATE` unless some values have such moments. */
export function checkedMoments(value: unknown, C?: number): Moments {
  return readUntrusted('INVALID_STATE', 'fields of moments', () => {
    if (typeof value !== 'object' || value === null) refuseState(describe(value), 'moments: { count, mean, m2 }');
    // Every field is read once: a getter or proxy could answer the check with one value and the copy with another.
    const fields = { ...(value as Record<string, unknown>) };
    const { count } = fields;
    assertCount('count', count);
    const mean = withoutNegativeZero(copiedVector('mean', fields.mean, C));
    const m2 = withoutNegativeZero(copiedVector('m2', fields.m2, mean.length));
    const c = count < 2 ? m2.findIndex((value) => value !== 0) : -1;
    if (c >= 0) refuseState(`m2[${c}] = ${m2[c]} of count ${count}`, '0, as of fewer than two values');
    return { count, mean, m2 };
  });
}

/** A copy in which 0 stands for −0, which JSON does not have. */
function withoutNegativeZero(values: Float64Array): Float64Array {
  return values.map((value) => value + 0);
}
