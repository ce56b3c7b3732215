// What is computed once per channel, in float64, two channels at a time: pivots, statistics, parameter gradients, and
// the coefficients that passes read.
import { samples } from '../src/abi/accumulation';
import * as channelsLast from './channels-last';
import { Job } from './job';
import { sampleOf } from './mask';
import { addTo, numberAt, pairAt, rounded, storePair } from './vectors';
import { flagsAt, isFactor, isModerate, isSummed, setFlags } from './wide';

/* @inline */ function at(table: usize, c: i32): usize {
  return table + ((<usize>c) << 3);
}

/** Clears the sums of all sections. */
export function clearSums(job: Job, from: i32, to: i32): void {
  const bytes = (<usize>(to - from)) << 3;
  for (let index = 0; index < job.sections * job.tablesPerSection; index++) {
    memory.fill(at(job.sums + <usize>index * job.pitch * 8, from), 0, bytes);
  }
}

/** Clears the sums of one section, in all channels. */
export function clearSection(job: Job, section: i32): void {
  memory.fill(job.sum(section), 0, <usize>job.tablesPerSection * job.pitch * 8);
}

/**
 * The pivot of a channel is the mean of a few samples of those that count, far apart from each other. If they are unlike the rest,
 * `batchStatistics` will notice. M / (count + 1) apart, not M / count, which would often be a whole number of images,
 * and take all samples from their corners. Added up around the first sample, so that the pivot of a constant channel is
 * that constant to the bit.
 */
export function choosePivots<S, T>(job: Job, from: i32, to: i32): void {
  const inner = job.inner;
  const M = <i32>job.M;
  const count = min(samples, M);
  const step = max(1, M / (count + 1));
  const isMasked = job.mask != 0;
  const pivot = job.pivot<T>();
  const apart = <usize>inner * sizeof<S>();
  let value = valueAt<S>(job, isMasked ? sampleOf(job, 0) : 0, from);
  for (let c = from; c < to; c++, value += apart) store<T>(pivot + <usize>c * sizeof<T>(), numberAt<S, T>(value));
  clearSums(job, from, to);
  if (inner == 1 && !isMasked) {
    const row = <i32>(job.channels * sizeof<S>());
    channelsLast.moments<S, T>(job.x, count, step * row, from, to, 1, true, pivot, job.sum(0), job.products(0));
  } else {
    for (let k = 0; k < count; k++) {
      value = valueAt<S>(job, isMasked ? sampleOf(job, k) : k * step, from);
      for (let c = from; c < to; c++, value += apart) {
        const s = at(job.sum(0), c);
        store<f64>(s, load<f64>(s) + (<f64>numberAt<S, T>(value) - <f64>load<T>(pivot + <usize>c * sizeof<T>())));
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

/** The address of the value of channel `c` at position `p`. */
/* @inline */ function valueAt<S>(job: Job, p: i32, c: i32): usize {
  return job.x + ((<usize>(p / job.inner) * job.channels + c) * job.inner + (p % job.inner)) * sizeof<S>();
}

/** Adds the sums of a block to those of its section, and clears them. */
export function closeBlock(job: Job, section: i32, from: i32, to: i32): void {
  const zero = f64x2.splat(0);
  for (let c = from; c < to; c += 2) {
    const s = at(job.blockSum(section), c),
      p = at(job.blockProducts(section), c);
    addTo(at(job.sum(section), c), v128.load(s));
    addTo(at(job.products(section), c), v128.load(p));
    v128.store(s, zero);
    v128.store(p, zero);
  }
}

/** Adds up the sums of all sections, in order, in the first one. */
function mergeSections(job: Job, from: i32, to: i32): void {
  for (let section = 1; section < job.sections; section++) {
    for (let c = from; c < to; c += 2) {
      addTo(at(job.sum(0), c), v128.load(at(job.sum(section), c)));
      addTo(at(job.products(0), c), v128.load(at(job.products(section), c)));
    }
  }
}

/**
 * Batch mean p + s/M and m2 = q − s²/M of a pivot p, s = Σ (x − p) and q = Σ (x − p)², and variance m2/M. Whether some
 * pivot was farther from the mean than a standard deviation, so that q − s²/M may have lost digits (docs/numerics.md).
 * Then all sums are cleared, and are to be added up again for `correctStatistics`: the pivots are now the means, as T has
 * them.
 */
export function batchStatistics<T>(job: Job, from: i32, to: i32): bool {
  let anyFar = v128.splat<i64>(0);
  mergeSections(job, from, to);
  for (let c = from; c < to; c += 2) {
    const isFar = statisticsOf<T>(job, c, v128.splat<i64>(-1));
    setFlags(job.wide, c, isFar);
    anyFar = v128.or(anyFar, ofChannels(isFar, c, to));
  }
  if (!v128.any_true(anyFar)) return false;
  clearSums(job, from, to);
  return true;
}

/**
 * The same again, of channels whose pivots were far. Others keep what they had: their bits depend on no other channel,
 * and so neither on threads nor on panels.
 */
export function correctStatistics<T>(job: Job, from: i32, to: i32): void {
  mergeSections(job, from, to);
  for (let c = from; c < to; c += 2) statisticsOf<T>(job, c, flagsAt(job.wide, c));
}

/** Of the channels `c` and `c + 1`, where `mask` says so. Whether their pivots were far. */
/* @inline */ function statisticsOf<T>(job: Job, c: i32, mask: v128): v128 {
  const M = f64x2.splat(job.M);
  const pivot = job.pivot<T>() + <usize>c * sizeof<T>();
  const s = v128.load(at(job.sum(0), c));
  const offset = f64x2.div(s, M);
  const m2 = f64x2.sub(v128.load(at(job.products(0), c)), f64x2.mul(s, offset));
  const variance = f64x2.div(m2, M);
  const p = pairAt<T>(pivot);
  const mean = f64x2.add(p, offset);
  const next = rounded<T>(mean);
  storePair<T>(pivot, next);
  storeWhere(at(job.mean, c), mean, mask);
  storeWhere(at(job.variance, c), variance, mask);
  storeWhere(at(job.m2, c), m2, mask);
  return v128.and(f64x2.gt(f64x2.mul(offset, offset), variance), f64x2.ne(next, p));
}

/* @inline */ function storeWhere(address: usize, pair: v128, mask: v128): void {
  v128.store(address, v128.bitselect(pair, v128.load(address), mask));
}

/** invStd, which is 0 where variance and epsilon are; pivot, scale and shift for y = (x − pivot) · scale + shift. */
export function coefficients<T>(job: Job, from: i32, to: i32): void {
  const one = f64x2.splat(1),
    zero = f64x2.splat(0);
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
    // A shift of NaN makes no channel wide: y is NaN in T, too, and dx does not depend on beta.
    const isShift = v128.or(isModerate<T>(shift), f64x2.ne(shift, shift));
    const isNarrow = v128.and(isShift, v128.and(isFactor<T>(scale), isModerate<T>(pivot)));
    const isLost = v128.and(isLostFactor<T>(scale, v128.load(at(job.gamma, c))), f64x2.ne(invStd, zero));
    setFlags(job.wide, c, v128.not(v128.andnot(isNarrow, isLost)));
  }
}

/** Whether `product` is 0 although `factor`, which it was made of, is not: it was too small for float64. */
/* @inline */ function isLostFactor<T>(product: v128, factor: v128): v128 {
  if (sizeof<T>() == 4) return v128.splat<i64>(0);
  return v128.and(f64x2.eq(product, f64x2.splat(0)), f64x2.ne(factor, f64x2.splat(0)));
}

/* @inline */ function areFinite(pair: v128): v128 {
  return f64x2.lt(f64x2.abs(pair), f64x2.splat(Infinity));
}

/** `mask`, cleared for the channel `c + 1` where the last one is `c`. */
/* @inline */ function ofChannels(mask: v128, c: i32, to: i32): v128 {
  return c + 1 < to ? mask : i64x2.replace_lane(mask, 1, 0);
}

/**
 * dbeta = Σ g, dgamma = invStd · Σ g · (x − mean). Whether there are channels that T could not add up: they are
 * flagged in `job.wideGradient`, and what `wideGradients` is to add up again is 0: their dgamma, and a dbeta that is
 * not finite.
 */
export function parameterGradients<T>(job: Job, from: i32, to: i32): bool {
  mergeSections(job, from, to);
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner);
  let anyWide = v128.splat<i64>(0);
  for (let c = from; c < to; c += 2) {
    const low = f64x2.sub(v128.load(at(job.mean, c)), pairAt<T>(job.pivot<T>() + <usize>c * sizeof<T>()));
    const invStd = v128.load(at(job.invStd, c));
    const dbeta = v128.load(at(job.sum(0), c)),
      products = v128.load(at(job.products(0), c));
    const dgamma = f64x2.mul(invStd, f64x2.sub(products, f64x2.mul(low, dbeta)));
    const isFiniteBeta = areFinite(dbeta);
    let areSummed = v128.and(isFiniteBeta, isSummed<T>(products, M));
    if (!i64x2.all_true(areSummed)) {
      // Products may have lost digits that do not count: those of numbers that are small beside Σ g, which loses none.
      areSummed = isSummed<T>(f64x2.add(f64x2.abs(products), f64x2.div(f64x2.abs(dbeta), invStd)), M);
    }
    const isWide = v128.not(areSummed);
    setFlags(job.wideGradient, c, isWide);
    v128.store(at(job.dbeta, c), v128.and(dbeta, isFiniteBeta));
    v128.store(at(job.dgamma, c), v128.andnot(dgamma, isWide));
    anyWide = v128.or(anyWide, ofChannels(isWide, c, to));
  }
  return v128.any_true(anyWide);
}

/** slope and offset for dx = scale · (dy − ((x − pivot) · slope + offset)). Whether any gradient is not finite. */
export function gradientCoefficients<T>(job: Job, from: i32, to: i32): bool {
  const M = f64x2.splat(job.M),
    zero = f64x2.splat(0);
  let anyInfinite = v128.splat<i64>(0);
  for (let c = from; c < to; c += 2) {
    const narrow = <usize>c * sizeof<T>();
    const low = f64x2.sub(v128.load(at(job.mean, c)), pairAt<T>(job.pivot<T>() + narrow));
    const dbeta = v128.load(at(job.dbeta, c)),
      dgamma = v128.load(at(job.dgamma, c));
    const slope = f64x2.div(f64x2.mul(v128.load(at(job.invStd, c)), dgamma), M);
    const offset = f64x2.sub(f64x2.div(dbeta, M), f64x2.mul(low, slope));
    storePair<T>(job.slope<T>() + narrow, slope);
    storePair<T>(job.offset<T>() + narrow, offset);
    // |(x − pivot) · slope| is at most √M · |dgamma| / M.
    const areFactors = v128.andnot(v128.and(isFactor<T>(slope), isFactor<T>(offset)), isLostFactor<T>(slope, dgamma));
    const isNarrow = v128.and(areFactors, isModerate<T>(dgamma));
    // Where T could not add up, slope · x may be lost, too; but not where both gradients are 0.
    const isLost = v128.andnot(flagsAt(job.wideGradient, c), v128.and(f64x2.eq(dbeta, zero), f64x2.eq(dgamma, zero)));
    const isWide = v128.or(isLost, flagsAt(job.wide, c));
    setFlags(job.wideGradient, c, v128.or(isWide, v128.not(isNarrow)));
    anyInfinite = v128.or(anyInfinite, ofChannels(v128.not(areFinite(f64x2.add(dbeta, dgamma))), c, to));
  }
  return v128.any_true(anyInfinite);
}
