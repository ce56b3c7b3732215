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

/** Which channels are too wide for passes in T (wide.ts), an i32 each. */
@inline export function wideOf(job: Job): usize { return wide(job, job.saved, 8); }

// Sums of a call (src/passes.ts): the tables of each section, then what the passes read.

/** Tables of a section. */
@inline export function tablesOf(job: Job): i32 { return 2 + 2 * job.isDouble; }

@inline function sumsOf(job: Job, section: i32, index: usize): usize { return wide(job, job.sums, <usize>(section * tablesOf(job)) + index); }
/** Σ (x − pivot), or Σ dy */
@inline export function sumOf(job: Job, section: i32): usize { return sumsOf(job, section, 0); }
/** Σ (x − pivot)², or Σ dy · (x − center) */
@inline export function productsOf(job: Job, section: i32): usize { return sumsOf(job, section, 1); }
/** The same of the block that is being added up, as there is of float64. */
@inline export function blockSumOf(job: Job, section: i32): usize { return sumsOf(job, section, 2); }
@inline export function blockProductsOf(job: Job, section: i32): usize { return sumsOf(job, section, 3); }
/** invStd · dgamma / M */
@inline export function slopeOf<T>(job: Job): usize { return narrow<T>(job, job.sums, job.sections * tablesOf(job), 0); }
/** dbeta / M, and what the center lacks of the mean. */
@inline export function offsetOf<T>(job: Job): usize { return narrow<T>(job, job.sums, job.sections * tablesOf(job), 1); }
/** A center or shift of nothing. */
@inline export function zerosOf<T>(job: Job): usize { return narrow<T>(job, job.sums, job.sections * tablesOf(job), 2); }
/** Which channels are too wide for the gradient in T. */
@inline export function wideGradientOf(job: Job): usize { return sumsOf(job, job.sections, 3); }
