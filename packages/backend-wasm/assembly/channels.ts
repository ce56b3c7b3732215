// What happens once per channel, in float64, two channels at a time: merging blocks, and coefficients of the passes.
import { Job } from './job';
import {
  betaOf, blockProducts, blockSum, centerOf, gammaOf, invStdOf, meanOf, offsetOf, scaleOf, shiftOf, slopeOf, totalProducts,
  totalSum, varianceOf,
} from './tables';
import { pairAt, rounded, storePair } from './vectors';

@inline
function at(table: usize, c: i32): usize {
  return table + (<usize>c << 3);
}

/** No sums yet. */
export function clearSums(job: Job, from: i32, to: i32): void {
  const bytes = <usize>(to - from) << 3;
  memory.fill(at(blockSum(job), from), 0, bytes);
  memory.fill(at(blockProducts(job), from), 0, bytes);
  memory.fill(at(totalSum(job), from), 0, bytes);
  memory.fill(at(totalProducts(job), from), 0, bytes);
}

/** The first pivot is the channel's first value. */
export function firstPivots<T>(job: Job, from: i32, to: i32): void {
  const pivot = centerOf<T>(job);
  const next = <usize>job.inner * sizeof<T>();
  for (let c = from; c < to; c++) store<T>(pivot + <usize>c * sizeof<T>(), load<T>(job.x + <usize>c * next));
}

/** total += block, block = 0 */
export function closeBlock(job: Job, from: i32, to: i32): void {
  const zero = f64x2.splat(0);
  for (let c = from; c < to; c += 2) {
    const s = at(blockSum(job), c), p = at(blockProducts(job), c), S = at(totalSum(job), c), P = at(totalProducts(job), c);
    v128.store(S, f64x2.add(v128.load(S), v128.load(s)));
    v128.store(P, f64x2.add(v128.load(P), v128.load(p)));
    v128.store(s, zero);
    v128.store(p, zero);
  }
}

/**
 * The mean of the N values so far is the next pivot. With p + δ instead of p, Σ(x − p) is less by Nδ, and Σ(x − p)² more by
 * δ(Nδ − 2Σ(x − p)): Chan's merge (Chan, Golub and LeVeque, 1983), of sums instead of moments.
 */
export function movePivots<T>(job: Job, from: i32, to: i32, seen: i32): void {
  const N = f64x2.splat(<f64>seen);
  const two = f64x2.splat(2);
  for (let c = from; c < to; c += 2) {
    const S = at(totalSum(job), c), Q = at(totalProducts(job), c), pivot = centerOf<T>(job) + <usize>c * sizeof<T>();
    const s = v128.load(S);
    const p = pairAt<T>(pivot);
    const next = rounded<T>(f64x2.add(p, f64x2.div(s, N)));
    const delta = f64x2.sub(next, p);
    const moved = f64x2.mul(N, delta);
    storePair<T>(pivot, next);
    v128.store(S, f64x2.sub(s, moved));
    v128.store(Q, f64x2.add(v128.load(Q), f64x2.mul(delta, f64x2.sub(moved, f64x2.mul(two, s)))));
  }
}

/** Batch mean and population variance of all M values. */
export function batchStatistics<T>(job: Job, from: i32, to: i32): void {
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner);
  for (let c = from; c < to; c += 2) {
    const s = v128.load(at(totalSum(job), c));
    const offset = f64x2.div(s, M);
    const M2 = f64x2.sub(v128.load(at(totalProducts(job), c)), f64x2.mul(s, offset));
    v128.store(at(meanOf(job), c), f64x2.add(pairAt<T>(centerOf<T>(job) + <usize>c * sizeof<T>()), offset));
    v128.store(at(varianceOf(job), c), f64x2.div(M2, M));
  }
}

/** invStd, and y = (x − center) · scale + shift as the passes read it. */
export function coefficients<T>(job: Job, from: i32, to: i32): void {
  const one = f64x2.splat(1);
  const epsilon = f64x2.splat(job.epsilon);
  for (let c = from; c < to; c += 2) {
    const mean = v128.load(at(meanOf(job), c));
    const invStd = f64x2.div(one, f64x2.sqrt(f64x2.add(v128.load(at(varianceOf(job), c)), epsilon)));
    const scale = f64x2.mul(v128.load(at(gammaOf(job), c)), invStd);
    const center = rounded<T>(mean);
    const shift = f64x2.sub(v128.load(at(betaOf(job), c)), f64x2.mul(f64x2.sub(mean, center), scale));
    v128.store(at(invStdOf(job), c), invStd);
    const narrow = <usize>c * sizeof<T>();
    storePair<T>(centerOf<T>(job) + narrow, center);
    storePair<T>(scaleOf<T>(job) + narrow, scale);
    storePair<T>(shiftOf<T>(job) + narrow, shift);
  }
}

/** dbeta = Σ dy, dgamma = invStd · Σ dy · (x − mean), and dx = scale · (dy − ((x − center) · slope + offset)). */
export function gradientCoefficients<T>(job: Job, from: i32, to: i32): void {
  const M = f64x2.splat(<f64>job.outer * <f64>job.inner);
  for (let c = from; c < to; c += 2) {
    const narrow = <usize>c * sizeof<T>();
    const low = f64x2.sub(v128.load(at(meanOf(job), c)), pairAt<T>(centerOf<T>(job) + narrow));
    const invStd = v128.load(at(invStdOf(job), c));
    const dbeta = v128.load(at(totalSum(job), c));
    const dgamma = f64x2.mul(invStd, f64x2.sub(v128.load(at(totalProducts(job), c)), f64x2.mul(low, dbeta)));
    const slope = f64x2.div(f64x2.mul(invStd, dgamma), M);
    v128.store(at(job.dbeta, c), dbeta);
    v128.store(at(job.dgamma, c), dgamma);
    storePair<T>(slopeOf<T>(job) + narrow, slope);
    storePair<T>(offsetOf<T>(job) + narrow, f64x2.sub(f64x2.div(dbeta, M), f64x2.mul(low, slope)));
  }
}
