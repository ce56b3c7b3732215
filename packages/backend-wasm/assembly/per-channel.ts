// What happens once per channel, in float64, two channels at a time: pivots, merging sections, coefficients of the passes.
import { Job } from './job';
import * as channelsLast from './channels-last';
import { addTo, pairAt, rounded, storePair } from './vectors';
import { flagsAt, isFactor, isModerate, isSummed, setFlags } from './wide';

/** Values of a channel whose mean is its pivot: so many that chance leads the pivots of some thousand channels no deviation astray. */
const samples: i32 = 20;

@inline
function at(table: usize, c: i32): usize {
  return table + (<usize>c << 3);
}

/** No sums yet. */
export function clearSums(job: Job, from: i32, to: i32): void {
  const bytes = <usize>(to - from) << 3;
  for (let index = 0; index < job.sections * job.tablesPerSection; index++) {
    memory.fill(at(job.sums + <usize>index * job.pitch * 8, from), 0, bytes);
  }
}

/** None of a section, in any channel. */
export function clearSection(job: Job, section: i32): void {
  memory.fill(job.sum(section), 0, <usize>job.tablesPerSection * job.pitch * 8);
}

/**
 * The mean of some values, far apart: as near to the mean of all as it needs to be, unless values conspire (see
 * `batchStatistics`). They are not a whole part of all apart, so that those of images are not all from their corners. Computed
 * around the first one, so that a constant is its own pivot to the bit.
 */
export function choosePivots<T>(job: Job, from: i32, to: i32): void {
  const inner = job.inner;
  const M = job.outer * inner;
  const count = min(samples, M);
  const step = max(1, M / (count + 1));
  const pivot = job.pivot<T>();
  for (let c = from; c < to; c++) {
    store<T>(pivot + <usize>c * sizeof<T>(), load<T>(job.x + <usize>c * inner * sizeof<T>()));
  }
  clearSums(job, from, to);
  if (inner == 1) {
    const row = <i32>(job.channels * sizeof<T>());
    channelsLast.moments<T>(job.x, count, step * row, from, to, 1, true, pivot, job.sum(0), job.products(0));
  } else {
    for (let k = 0; k < count; k++) {
      const o = k * step / inner, i = k * step % inner;
      for (let c = from; c < to; c++) {
        const value = load<T>(job.x + ((<usize>o * job.channels + c) * inner + i) * sizeof<T>());
        const s = at(job.sum(0), c);
        store<f64>(s, load<f64>(s) + (<f64>value - <f64>load<T>(pivot + <usize>c * sizeof<T>())));
      }
    }
  }
  const n = f64x2.splat(<f64>count);
  for (let c = from; c < to; c += 2) {
    const p = pivot + <usize>c * sizeof<T>();
    storePair<T>(p, f64x2.add(pairAt<T>(p), f64x2.div(v128.load(at(job.sum(0), c)), n)));
  }
  clearSums(job, from, to);
}

/** sums += block, block = 0 */
export function closeBlock(job: Job, section: i32, from: i32, to: i32): void {
  const zero = f64x2.splat(0);
  for (let c = from; c < to; c += 2) {
    const s = at(job.blockSum(section), c), p = at(job.blockProducts(section), c);
    addTo(at(job.sum(section), c), v128.load(s));
    addTo(at(job.products(section), c), v128.load(p));
    v128.store(s, zero);
    v128.store(p, zero);
  }
}

/** The sums of all sections, in order, into those of the first. */
function mergeSections(job: Job, from: i32, to: i32): void {
  for (let section = 1; section < job.sections; section++) {
    for (let c = from; c < to; c += 2) {
      addTo(at(job.sum(0), c), v128.load(at(job.sum(section), c)));
      addTo(at(job.products(0), c), v128.load(at(job.products(section), c)));
    }
  }
}

/**
 * Batch mean p + s/M and population variance (q − s²/M)/M, of s = Σ (x − p) and q = Σ (x − p)². Whether a pivot was farther from
 * its mean than a deviation, so that q − s²/M may have lost digits: then the mean is the pivot, which no value is nearer to the
 * mean than, and there are no sums (docs/numerics.md).
 */
export function batchStatistics<T>(job: Job, from: i32, to: i32): bool {
  mergeSections(job, from, to);
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner);
  let anyFar = v128.splat<i64>(0);
  for (let c = from; c < to; c += 2) {
    const pivot = job.pivot<T>() + <usize>c * sizeof<T>();
    const s = v128.load(at(job.sum(0), c));
    const offset = f64x2.div(s, M);
    const variance = f64x2.div(f64x2.sub(v128.load(at(job.products(0), c)), f64x2.mul(s, offset)), M);
    const p = pairAt<T>(pivot);
    const mean = f64x2.add(p, offset);
    const next = rounded<T>(mean);
    const isFar = v128.and(f64x2.gt(f64x2.mul(offset, offset), variance), f64x2.ne(next, p));
    anyFar = v128.or(anyFar, ofChannels(isFar, c, to));
    storePair<T>(pivot, next);
    v128.store(at(job.mean, c), mean);
    v128.store(at(job.variance, c), variance);
  }
  if (!v128.any_true(anyFar)) return false;
  clearSums(job, from, to);
  return true;
}

/** invStd, 0 where there is nothing to divide by, and y = (x − pivot) · scale + shift as the passes read it. */
export function coefficients<T>(job: Job, from: i32, to: i32): void {
  const one = f64x2.splat(1), zero = f64x2.splat(0);
  const epsilon = f64x2.splat(job.epsilon);
  for (let c = from; c < to; c += 2) {
    const mean = v128.load(at(job.mean, c));
    const square = f64x2.add(v128.load(at(job.variance, c)), epsilon);
    const invStd = v128.andnot(f64x2.div(one, f64x2.sqrt(square)), f64x2.eq(square, zero));
    const scale = f64x2.mul(v128.load(at(job.gamma, c)), invStd);
    const pivot = rounded<T>(mean);
    const shift = f64x2.sub(v128.load(at(job.beta, c)), f64x2.mul(f64x2.sub(mean, pivot), scale));
    v128.store(at(job.invStd, c), invStd);
    const narrow = <usize>c * sizeof<T>();
    storePair<T>(job.pivot<T>() + narrow, pivot);
    storePair<T>(job.scale<T>() + narrow, scale);
    storePair<T>(job.shift<T>() + narrow, shift);
    // A beta that is not a number is none in T, too, and dx must not know of it.
    const isBeta = v128.or(isModerate<T>(shift), f64x2.ne(shift, shift));
    setFlags(job.wide, c, v128.not(v128.and(isBeta, v128.and(isFactor<T>(scale), isModerate<T>(pivot)))));
  }
}

@inline
function isFinite(pair: v128): v128 {
  return f64x2.lt(f64x2.abs(pair), f64x2.splat(Infinity));
}

/** `mask` without what lies beyond the last channel. */
@inline
function ofChannels(mask: v128, c: i32, to: i32): v128 {
  return c + 1 < to ? mask : i64x2.replace_lane(mask, 1, 0);
}

/**
 * dbeta = Σ dy, dgamma = invStd · Σ dy · (x − mean). Whether there are channels that T could not add up: they are marked, and what is
 * to be added up again, dgamma and a dbeta that is not finite, is 0.
 */
export function parameterGradients<T>(job: Job, from: i32, to: i32): bool {
  mergeSections(job, from, to);
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner);
  let anyWide = v128.splat<i64>(0);
  for (let c = from; c < to; c += 2) {
    const low = f64x2.sub(v128.load(at(job.mean, c)), pairAt<T>(job.pivot<T>() + <usize>c * sizeof<T>()));
    const invStd = v128.load(at(job.invStd, c));
    const dbeta = v128.load(at(job.sum(0), c)), products = v128.load(at(job.products(0), c));
    const dgamma = f64x2.mul(invStd, f64x2.sub(products, f64x2.mul(low, dbeta)));
    const areFinite = isFinite(dbeta);
    let areSummed = v128.and(areFinite, isSummed<T>(products, M));
    if (!i64x2.all_true(areSummed)) {
      // Digits that products lost matter where these are not small beside Σ dy, which loses none.
      areSummed = isSummed<T>(f64x2.add(f64x2.abs(products), f64x2.div(f64x2.abs(dbeta), invStd)), M);
    }
    const isWide = v128.not(areSummed);
    setFlags(job.wideGradient, c, isWide);
    v128.store(at(job.dbeta, c), v128.and(dbeta, areFinite));
    v128.store(at(job.dgamma, c), v128.andnot(dgamma, isWide));
    anyWide = v128.or(anyWide, ofChannels(isWide, c, to));
  }
  return v128.any_true(anyWide);
}

/** dx = scale · (dy − ((x − pivot) · slope + offset)) as the passes read it. Whether there are gradients that are not finite. */
export function gradientCoefficients<T>(job: Job, from: i32, to: i32): bool {
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner), zero = f64x2.splat(0);
  let anyInfinite = v128.splat<i64>(0);
  for (let c = from; c < to; c += 2) {
    const narrow = <usize>c * sizeof<T>();
    const low = f64x2.sub(v128.load(at(job.mean, c)), pairAt<T>(job.pivot<T>() + narrow));
    const dbeta = v128.load(at(job.dbeta, c)), dgamma = v128.load(at(job.dgamma, c));
    const slope = f64x2.div(f64x2.mul(v128.load(at(job.invStd, c)), dgamma), M);
    const offset = f64x2.sub(f64x2.div(dbeta, M), f64x2.mul(low, slope));
    storePair<T>(job.slope<T>() + narrow, slope);
    storePair<T>(job.offset<T>() + narrow, offset);
    // |(x − pivot) · slope| is at most √M · |dgamma| / M.
    const isNarrow = v128.and(isFactor<T>(slope), v128.and(isFactor<T>(offset), isModerate<T>(dgamma)));
    // Without either gradient nothing is left that could be lost.
    const isLost = v128.andnot(flagsAt(job.wideGradient, c), v128.and(f64x2.eq(dbeta, zero), f64x2.eq(dgamma, zero)));
    const isWide = v128.or(isLost, flagsAt(job.wide, c));
    setFlags(job.wideGradient, c, v128.or(isWide, v128.not(isNarrow)));
    anyInfinite = v128.or(anyInfinite, ofChannels(v128.not(isFinite(f64x2.add(dbeta, dgamma))), c, to));
  }
  return v128.any_true(anyInfinite);
}
