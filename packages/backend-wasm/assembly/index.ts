// The operations, each over a range: of channels for whole operations, which threads share; of outer indices for the passes
// of an activation that comes in parts. The numbers are those of src/operations.ts.
import { batchStatistics, clearSums, coefficients, firstPivots, gradientCoefficients } from './channels';
import { Job } from './job';
import { gradientSums, inputGradient, moments, normalize, scaledGradient } from './passes';

/** Outer indices that are written together, the last ones of a panel first: those are still in cache. */
const written: i32 = 256;

/** Performs `operation` over [from, to). */
export function perform(job: Job, operation: i32, from: i32, to: i32): void {
  if (job.isDouble) performOn<f64>(job, operation, from, to);
  else performOn<f32>(job, operation, from, to);
}

function performOn<T>(job: Job, operation: i32, from: i32, to: i32): void {
  switch (operation) {
    case 0:
      return forwardTraining<T>(job, from, to);
    case 1:
      return backward<T>(job, from, to, true);
    case 2:
      return backward<T>(job, from, to, false);
    case 3:
      return beginMoments<T>(job, from, to);
    case 4:
      return moments<T>(job, 0, job.channels, from, to);
    case 5:
      return endMoments<T>(job, from, to);
    case 6:
      return coefficients<T>(job, from, to);
    case 7:
      return normalize<T>(job, 0, job.channels, from, to);
    case 8:
      return clearSums(job, from, to);
    case 9:
      return gradientSums<T>(job, 0, job.channels, from, to);
    case 10:
      return gradientCoefficients<T>(job, from, to);
    case 11:
      return inputGradient<T>(job, 0, job.channels, from, to);
    case 12:
      return scaledGradient<T>(job, 0, job.channels, from, to);
  }
}

function beginMoments<T>(job: Job, from: i32, to: i32): void {
  clearSums(job, from, to);
  firstPivots<T>(job, from, to);
}

function endMoments<T>(job: Job, from: i32, to: i32): void {
  batchStatistics<T>(job, from, to);
  coefficients<T>(job, from, to);
}

function forwardTraining<T>(job: Job, from: i32, to: i32): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    beginMoments<T>(job, c, end);
    moments<T>(job, c, end, 0, job.outer);
    endMoments<T>(job, c, end);
    for (let o = ((job.outer - 1) / written) * written; o >= 0; o -= written) {
      normalize<T>(job, c, end, o, min(o + written, job.outer));
    }
  }
}

function backward<T>(job: Job, from: i32, to: i32, isTraining: bool): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    clearSums(job, c, end);
    gradientSums<T>(job, c, end, 0, job.outer);
    gradientCoefficients<T>(job, c, end);
    for (let o = (job.outer - 1) / written * written; o >= 0; o -= written) {
      const last = min(o + written, job.outer);
      if (isTraining) inputGradient<T>(job, c, end, o, last);
      else scaledGradient<T>(job, c, end, o, last);
    }
  }
}
