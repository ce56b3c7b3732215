// Wide channels: those whose passes would leave the range of T, such as values of 1e20 or of 1e-25, a scale that
// float32 does not have, gradients of 1e38. There are few, so that these loops are plain: in float64, one element after
// the other, and xHat before any other factor.
import { leastProductFloat32, leastProductFloat64 } from '../src/abi/accumulation';
import { behind, gateOf, hasPassed, setPassed } from './gate';
import { Job } from './job';
import { counts, sampleOf } from './mask';
import { numberAt, only, storeNumber, storeOnly, vectorAt, vectorBytes } from './vectors';

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

/** Bytes of a number of T. */
/* @inline */ function sizeOf(job: Job): usize {
  return 4 << i32(job.isDouble);
}

/** Bytes from the begin of an activation to its element (o, c, i). */
/* @inline */ function skipTo(job: Job, o: i32, c: i32, i: i32): usize {
  return ((<usize>o * job.channels + c) * job.inner + i) * job.elementBytes;
}

function elementAt(job: Job, at: usize): f64 {
  if (job.isDouble) return load<f64>(at);
  return job.elementBytes == 4 ? <f64>load<f32>(at) : <f64>numberAt<u16, f32>(at);
}

function setElement(job: Job, at: usize, value: f64): void {
  if (job.isDouble) store<f64>(at, value);
  else if (job.elementBytes == 4) store<f32>(at, <f32>value);
  else storeNumber<u16, f32>(at, <f32>value);
}

/** The byte of the gate that the element (o, c, i) has a bit in, as lane `laneOf(job, c, i)`; 0 where there is no gate. */
function gateTo(job: Job, o: i32, c: i32, i: i32): usize {
  if (job.gate == 0) return 0;
  const size = sizeOf(job);
  if (job.inner == 1) return gateOf(job, <usize>o, job.channels * size) + ((<usize>c * size) >> 4);
  return gateOf(job, <usize>o * job.channels + c, job.inner * size) + ((<usize>i * size) >> 4);
}

/* @inline */ function laneOf(job: Job, c: i32, i: i32): i32 {
  return (job.inner == 1 ? c : i) & (job.isDouble ? 1 : 3);
}

/** dy behind the gate. */
function gAt(job: Job, o: i32, c: i32, i: i32): f64 {
  const gate = gateTo(job, o, c, i);
  return gate != 0 && !hasPassed(gate, laneOf(job, c, i)) ? 0 : elementAt(job, job.dy + skipTo(job, o, c, i));
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
  const p = job.mask == 0 ? 0 : sampleOf(job, 0);
  store<f64>(entry(job.mean, c), elementAt(job, job.x + skipTo(job, p / job.inner, c, p % job.inner)));
  const isConstant = !sumAround(job, c);
  sumAround(job, c);
  const square = f64x2.splat(numberOf(job.variance, c) + job.epsilon);
  if (isConstant || i64x2.all_true(isSummed<f64>(square, f64x2.splat(1)))) return false;
  store<f64>(entry(job.variance, c), NaN);
  store<f64>(entry(job.m2, c), NaN);
  return true;
}

/** Mean, m2 and variance of what counts, added up around the number in the table of means. Whether any value was another. */
function sumAround(job: Job, c: i32): bool {
  const M = job.M;
  const pivot = numberOf(job.mean, c);
  let sum = 0.0,
    squares = 0.0,
    isOther = false;
  for (let o = 0; o < job.outer; o++) {
    for (let i = 0; i < job.inner; i++) {
      if (!counts(job, o * job.inner + i)) continue;
      const d = elementAt(job, job.x + skipTo(job, o, c, i)) - pivot;
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
 * dgamma += Σ g · xHat of the channels that T could not add up, and dbeta += Σ g of those whose sum in T is not finite.
 */
export function wideGradients<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  gatherBits<S, T>(job, from, to, first, last);
  for (let c = from; c < to; c++) {
    if (!isSet(job.wideGradient, c)) continue;
    // Channels whose g is all 0 are flagged, too, and are frequent: units that ReLU turned off. They need no sums,
    // unless x is NaN.
    if (!hasBits(job, c) && isFinite(numberOf(job.products(0), c))) continue;
    const mean = numberOf(job.mean, c),
      invStd = numberOf(job.invStd, c);
    const isBetaLost = !isFinite(numberOf(job.sum(0), c));
    let dbeta = numberOf(job.dbeta, c),
      dgamma = numberOf(job.dgamma, c);
    for (let o = first; o < last; o++) {
      for (let i = 0; i < job.inner; i++) {
        const g = gAt(job, o, c, i);
        dbeta += g;
        dgamma += g * ((elementAt(job, job.x + skipTo(job, o, c, i)) - mean) * invStd);
      }
    }
    if (isBetaLost) store<f64>(entry(job.dbeta, c), dbeta);
    store<f64>(entry(job.dgamma, c), dgamma);
  }
}

/** The bits of all g of a channel, combined by OR, into the table that slopes come into later. */
function gatherBits<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const begin = bitsOf(job, from),
    end = bitsOf(job, to);
  const bytes = vectorBytes<S>();
  memory.fill(begin, 0, end - begin);
  for (let o = first; o < last; o++) {
    let k = job.dy + skipTo(job, o, from, 0);
    if (job.inner == 1) {
      let gate = gateTo(job, o, from, 0);
      let at = begin;
      for (; at + 16 <= end; at += 16, k += bytes, gate++) {
        v128.store(at, v128.or(v128.load(at), gBits<S, T>(job, k, gate)));
      }
      for (let lane = 0; at < end; at += sizeof<T>(), k += sizeof<S>(), lane++) {
        if (job.gate != 0 && !hasPassed(gate, lane)) continue;
        storeOnly<T>(at, v128.or(only<T>(at), only<S>(k)));
      }
      continue;
    }
    for (let c = from, at = begin; c < to; c++, at += sizeof<T>()) {
      let gate = gateTo(job, o, c, 0);
      const next = k + <usize>job.inner * sizeof<S>();
      let bits = v128.splat<i32>(0);
      for (; k + bytes <= next; k += bytes, gate++) bits = v128.or(bits, gBits<S, T>(job, k, gate));
      for (let lane = 0; k < next; k += sizeof<S>(), lane++) {
        if (job.gate == 0 || hasPassed(gate, lane)) bits = v128.or(bits, only<S>(k));
      }
      store<i32>(at, load<i32>(at) | i32(v128.any_true(bits)));
    }
  }
}

/* @inline */ function gBits<S, T>(job: Job, dy: usize, gate: usize): v128 {
  return job.gate == 0 ? vectorAt<S>(dy) : behind<T>(vectorAt<S>(dy), gate);
}

/* @inline */ function bitsOf(job: Job, c: i32): usize {
  return job.slope<f64>() + <usize>c * sizeOf(job);
}

function hasBits(job: Job, c: i32): bool {
  const at = bitsOf(job, c);
  return (job.isDouble ? load<i64>(at) : <i64>load<i32>(at)) != 0;
}

/**
 * y = gamma · xHat + beta + residual, behind the gate, which it writes; `ofGradient`: dx = gamma · invStd · g, and
 * dresidual = g. Of the elements [begin, end) of runs.
 */
export function affine(
  job: Job,
  from: i32,
  to: i32,
  first: i32,
  last: i32,
  begin: i32,
  end: i32,
  ofGradient: bool,
): void {
  for (let c = from; c < to; c++) {
    const mean = ofGradient ? 0.0 : numberOf(job.mean, c);
    // Adding −0 changes no number, not even −0.
    const beta = ofGradient ? -0.0 : numberOf(job.beta, c);
    const scale = numberOf(job.gamma, c) * numberOf(job.invStd, c);
    const hasScale = ofGradient && isScale(job, c);
    const outer = hasScale ? 1.0 : numberOf(job.gamma, c),
      inner = hasScale ? scale : numberOf(job.invStd, c);
    for (let o = first; o < last; o++) {
      for (let i = begin; i < end; i++) {
        const k = skipTo(job, o, c, i);
        const value = ofGradient ? gAt(job, o, c, i) : elementAt(job, job.x + k);
        if (ofGradient && job.dresidual != 0) setElement(job, job.dresidual + k, value);
        const z = outer * ((value - mean) * inner) + beta;
        if (ofGradient) setElement(job, job.out + k, z);
        else setOutput(job, o, c, i, job.residual == 0 ? z : z + elementAt(job, job.residual + k));
      }
    }
  }
}

/** y of z: behind the gate, if there is one, which asks what T has of z. */
function setOutput(job: Job, o: i32, c: i32, i: i32, z: f64): void {
  const y = job.out + skipTo(job, o, c, i);
  setElement(job, y, z);
  const gate = gateTo(job, o, c, i);
  if (gate == 0) return;
  const isOff = elementAt(job, y) <= 0;
  setPassed(gate, laneOf(job, c, i), !isOff);
  if (isOff) setElement(job, y, 0);
}

/** dx = gamma · invStd · (g − dbeta/M − xHat · dgamma/M), and dresidual = g; of the elements [begin, end) of runs. */
export function inputGradient(job: Job, from: i32, to: i32, first: i32, last: i32, begin: i32, end: i32): void {
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
      for (let i = begin; i < end; i++) {
        const k = skipTo(job, o, c, i);
        const xHat = (elementAt(job, job.x + k) - mean) * invStd;
        const g = gAt(job, o, c, i);
        if (job.dresidual != 0) setElement(job, job.dresidual + k, g);
        setElement(job, job.out + k, outer * (inner * (g - dbeta - xHat * dgamma)));
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
