// Per-channel tables in memory: float64 ones first, then those of the activation's kind, which passes read.
import { Job } from './job';

@inline
function wide(job: Job, base: usize, index: usize): usize {
  return base + index * job.pitch * 8;
}

@inline
function narrow<T>(job: Job, base: usize, wides: usize, index: usize): usize {
  return base + job.pitch * (wides * 8 + index * sizeof<T>());
}

// What a forward keeps for its backward (src/saved-forward.ts).

@inline export function gammaOf(job: Job): usize { return wide(job, job.saved, 0); }
@inline export function betaOf(job: Job): usize { return wide(job, job.saved, 1); }
@inline export function meanOf(job: Job): usize { return wide(job, job.saved, 2); }
@inline export function varianceOf(job: Job): usize { return wide(job, job.saved, 3); }
@inline export function invStdOf(job: Job): usize { return wide(job, job.saved, 4); }
/** The mean as an activation stores it; while moments are added up, the pivot. */
@inline export function centerOf<T>(job: Job): usize { return narrow<T>(job, job.saved, 5, 0); }
/** gamma · invStd */
@inline export function scaleOf<T>(job: Job): usize { return narrow<T>(job, job.saved, 5, 1); }
/** beta, and what the center lacks of the mean. */
@inline export function shiftOf<T>(job: Job): usize { return narrow<T>(job, job.saved, 5, 2); }

// Sums of a call (src/passes.ts).

/** Of the current block: Σ (x − pivot), or Σ dy. */
@inline export function blockSum(job: Job): usize { return wide(job, job.sums, 0); }
/** Of the current block: Σ (x − pivot)², or Σ dy · (x − center). */
@inline export function blockProducts(job: Job): usize { return wide(job, job.sums, 1); }
/** The same of the blocks before it. */
@inline export function totalSum(job: Job): usize { return wide(job, job.sums, 2); }
@inline export function totalProducts(job: Job): usize { return wide(job, job.sums, 3); }
/** invStd · dgamma / M */
@inline export function slopeOf<T>(job: Job): usize { return narrow<T>(job, job.sums, 4, 0); }
/** dbeta / M, and what the center lacks of the mean. */
@inline export function offsetOf<T>(job: Job): usize { return narrow<T>(job, job.sums, 4, 1); }
/** A center or shift of nothing. */
@inline export function zerosOf<T>(job: Job): usize { return narrow<T>(job, job.sums, 4, 2); }
