// Wide channels: those whose passes would leave the range of T, such as values of 1e20 or of 1e-25, a scale that
// float32 does not have, gradients of 1e38. There are few, so that these loops are plain: in float64, one element after
// the other, and xHat before any other factor.
import { leastProductFloat32, leastProductFloat64 } from '../src/abi/accumulation';
import { Job } from './job';

// Questions about pairs of float64, answered by masks.

/**
 * Whether passes in T, whose numbers go to 1e±38 or 1e±308, neither overflow with it nor lose its digits. Not of NaN.
 */
/* @inline */ export function isModerate<T>(pair: v128): v128 {
  return f64x2.le(f64x2.abs(pair), f64x2.splat(sizeof<T>() == 4 ? 1e30 : 1e288));
}

/** The same of a factor, which may be 0, but not nearly 0. */
/* @inline */ export function isFactor<T>(pair: v128): v128 {
  const isLarge = f64x2.ge(f64x2.abs(pair), f64x2.splat(sizeof<T>() == 4 ? 1e-30 : 1e-288));
  return v128.and(isModerate<T>(pair), v128.or(isLarge, f64x2.eq(pair, f64x2.splat(0))));
}

/** Whether T could add up `count` squares or products to `sums`: none overflowed, and none that counts lost digits. */
/* @inline */ export function isSummed<T>(sums: v128, count: v128): v128 {
  const size = f64x2.abs(sums);
  const least = f64x2.mul(count, f64x2.splat(sizeof<T>() == 4 ? leastProductFloat32 : leastProductFloat64));
  return v128.and(f64x2.ge(size, least), f64x2.lt(size, f64x2.splat(Infinity)));
}

/** Sets the flags of the channels `c` and `c + 1` to `mask`. */
/* @inline */ export function setFlags(flags: usize, c: i32, mask: v128): void {
  v128.store64_lane(flags + ((<usize>c) << 2), v128.shuffle<i32>(mask, mask, 0, 2, 0, 2), 0);
}

/** The flags of the channels `c` and `c + 1` as a mask. */
/* @inline */ export function flagsAt(flags: usize, c: i32): v128 {
  return v128.load32x2_s(flags + ((<usize>c) << 2));
}

/* @inline */ export function isSet(flags: usize, c: i32): bool {
  return load<i32>(flags + ((<usize>c) << 2)) != 0;
}

/** The end of the channels from `c` on that have the same flag as it. */
export function endOfAlike(flags: usize, c: i32, to: i32): i32 {
  const flag = isSet(flags, c);
  if (!flag) while (c + 4 <= to && !v128.any_true(v128.load(flags + ((<usize>c) << 2)))) c += 4;
  while (c < to && isSet(flags, c) == flag) c++;
  return c;
}

/* @inline */ function entry(table: usize, c: i32): usize {
  return table + ((<usize>c) << 3);
}

/* @inline */ function numberOf(table: usize, c: i32): f64 {
  return load<f64>(entry(table, c));
}

// Bytes of an element, to the element (o, c, 0), and of a run.

/* @inline */ function sizeOf(job: Job): usize {
  return 4 << job.isDouble;
}

/* @inline */ function skipTo(job: Job, o: i32, c: i32): usize {
  return (<usize>o * job.channels + c) * job.inner * sizeOf(job);
}

/* @inline */ function bytesOfRun(job: Job): usize {
  return job.inner * sizeOf(job);
}

function elementAt(job: Job, at: usize): f64 {
  return job.isDouble ? load<f64>(at) : <f64>load<f32>(at);
}

function setElement(job: Job, at: usize, value: f64): void {
  if (job.isDouble) store<f64>(at, value);
  else store<f32>(at, <f32>value);
}

/**
 * Statistics of the channels whose variance is infinite, or tiny also beside epsilon: T may have lost their squares.
 * They are added up around one of the values, and then around the mean that this gave. A variance that float64 does not
 * have, of a channel that is not constant, is NaN, and so will be its y. Whether there is one.
 */
export function wideStatistics<T>(job: Job, from: i32, to: i32): bool {
  const epsilon = f64x2.splat(job.epsilon),
    one = f64x2.splat(1);
  let anyNaN: bool = false;
  for (let c = from; c < to; c += 2) {
    const areSummed = isSummed<T>(f64x2.add(v128.load(entry(job.variance, c)), epsilon), one);
    if (i64x2.all_true(areSummed)) continue;
    if (!i64x2.extract_lane(areSummed, 0)) anyNaN = settle(job, c) || anyNaN;
    if (c + 1 < to && !i64x2.extract_lane(areSummed, 1)) anyNaN = settle(job, c + 1) || anyNaN;
  }
  return anyNaN;
}

/** Whether the variance of channel `c` is NaN now. */
function settle(job: Job, c: i32): bool {
  store<f64>(entry(job.mean, c), elementAt(job, job.x + skipTo(job, 0, c)));
  const isConstant = !sumAround(job, c);
  sumAround(job, c);
  const square = f64x2.splat(numberOf(job.variance, c) + job.epsilon);
  if (isConstant || i64x2.all_true(isSummed<f64>(square, f64x2.splat(1)))) return false;
  store<f64>(entry(job.variance, c), NaN);
  store<f64>(entry(job.m2, c), NaN);
  return true;
}

/** Mean, m2 and variance, added up around the number in the table of means. Whether any value was another. */
function sumAround(job: Job, c: i32): bool {
  const M = <f64>job.outer * <f64>job.inner;
  const pivot = numberOf(job.mean, c);
  let sum = 0.0,
    squares = 0.0,
    isOther = false;
  for (let o = 0; o < job.outer; o++) {
    for (let k = skipTo(job, o, c), end = k + bytesOfRun(job); k < end; k += sizeOf(job)) {
      const d = elementAt(job, job.x + k) - pivot;
      sum += d;
      squares += d * d;
      isOther = isOther || d != 0;
    }
  }
  store<f64>(entry(job.mean, c), pivot + sum / M);
  const m2 = squares - sum * (sum / M);
  store<f64>(entry(job.m2, c), m2);
  store<f64>(entry(job.variance, c), m2 / M);
  return isOther;
}

/**
 * dgamma += Σ dy · xHat of the channels that T could not add up, and dbeta += Σ dy of those whose sum in T is not
 * finite.
 */
export function wideGradients(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  gatherBits(job, from, to, first, last);
  for (let c = from; c < to; c++) {
    if (!isSet(job.wideGradient, c)) continue;
    // Channels whose dy is all 0 are flagged, too, and are frequent: units that ReLU turned off. They need no sums,
    // unless x is NaN.
    if (!hasBits(job, c) && isFinite(numberOf(job.products(0), c))) continue;
    const mean = numberOf(job.mean, c),
      invStd = numberOf(job.invStd, c);
    const isBetaLost = !isFinite(numberOf(job.sum(0), c));
    let dbeta = numberOf(job.dbeta, c),
      dgamma = numberOf(job.dgamma, c);
    for (let o = first; o < last; o++) {
      for (let k = skipTo(job, o, c), end = k + bytesOfRun(job); k < end; k += sizeOf(job)) {
        const g = elementAt(job, job.dy + k);
        dbeta += g;
        dgamma += g * ((elementAt(job, job.x + k) - mean) * invStd);
      }
    }
    if (isBetaLost) store<f64>(entry(job.dbeta, c), dbeta);
    store<f64>(entry(job.dgamma, c), dgamma);
  }
}

/** The bits of all dy of a channel, combined by OR, into the table that slopes come into later. */
function gatherBits(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const begin = bitsOf(job, from),
    end = bitsOf(job, to);
  memory.fill(begin, 0, end - begin);
  for (let o = first; o < last; o++) {
    let k = job.dy + skipTo(job, o, from);
    if (job.inner == 1) {
      let at = begin;
      for (; at + 16 <= end; at += 16, k += 16) v128.store(at, v128.or(v128.load(at), v128.load(k)));
      for (; at < end; at += 4, k += 4) store<i32>(at, load<i32>(at) | load<i32>(k));
      continue;
    }
    for (let at = begin; at < end; at += sizeOf(job)) {
      const next = k + bytesOfRun(job);
      let bits = v128.splat<i32>(0);
      for (; k + 16 <= next; k += 16) bits = v128.or(bits, v128.load(k));
      for (; k < next; k += 4) bits = v128.or(bits, v128.load32_zero(k));
      store<i32>(at, load<i32>(at) | i32(v128.any_true(bits)));
    }
  }
}

/* @inline */ function bitsOf(job: Job, c: i32): usize {
  return job.slope<f64>() + <usize>c * sizeOf(job);
}

function hasBits(job: Job, c: i32): bool {
  const at = bitsOf(job, c);
  return (job.isDouble ? load<i64>(at) : <i64>load<i32>(at)) != 0;
}

/** y = gamma · xHat + beta; `ofGradient`: dx = gamma · invStd · dy. */
export function affine(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const input = ofGradient ? job.dy : job.x;
  for (let c = from; c < to; c++) {
    const mean = ofGradient ? 0.0 : numberOf(job.mean, c);
    // Adding −0 changes no number, not even −0.
    const beta = ofGradient ? -0.0 : numberOf(job.beta, c);
    const scale = numberOf(job.gamma, c) * numberOf(job.invStd, c);
    const hasScale = ofGradient && isScale(job, c);
    const outer = hasScale ? 1.0 : numberOf(job.gamma, c),
      inner = hasScale ? scale : numberOf(job.invStd, c);
    for (let o = first; o < last; o++) {
      for (let k = skipTo(job, o, c), end = k + bytesOfRun(job); k < end; k += sizeOf(job)) {
        setElement(job, job.out + k, outer * ((elementAt(job, input + k) - mean) * inner) + beta);
      }
    }
  }
}

/** dx = gamma · invStd · (dy − dbeta/M − xHat · dgamma/M) */
export function inputGradient(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const M = job.M;
  for (let c = from; c < to; c++) {
    const mean = numberOf(job.mean, c),
      invStd = numberOf(job.invStd, c),
      gamma = numberOf(job.gamma, c);
    const dbeta = numberOf(job.dbeta, c) / M,
      dgamma = numberOf(job.dgamma, c) / M;
    const hasScale = isScale(job, c);
    const outer = hasScale ? 1.0 : gamma,
      inner = hasScale ? gamma * invStd : invStd;
    for (let o = first; o < last; o++) {
      for (let k = skipTo(job, o, c), end = k + bytesOfRun(job); k < end; k += sizeOf(job)) {
        const xHat = (elementAt(job, job.x + k) - mean) * invStd;
        setElement(job, job.out + k, outer * (inner * (elementAt(job, job.dy + k) - dbeta - xHat * dgamma)));
      }
    }
  }
}

/** Whether gamma · invStd is a number with all its digits: then invStd · dy can't overflow before gamma is applied. */
function isScale(job: Job, c: i32): bool {
  const gamma = numberOf(job.gamma, c);
  return gamma == 0 || i64x2.all_true(isNormal(f64x2.splat(gamma * numberOf(job.invStd, c))));
}

/* @inline */ function isNormal(pair: v128): v128 {
  return v128.and(isFactor<f64>(pair), f64x2.ne(pair, f64x2.splat(0)));
}
