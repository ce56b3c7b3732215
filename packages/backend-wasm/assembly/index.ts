// The operations, each over a range: of channels for whole operations, which threads share where a channel is runs; of outer
// indices for the passes of an activation that comes in parts, or that threads share by rows. The numbers are those of
// src/passes.ts.
import { batchStatistics, choosePivots, clearSums, coefficients, gradientCoefficients, parameterGradients } from './channels';
import { Job } from './job';
import { gradientSums, inputGradient, moments, normalize, scaledGradient } from './passes';
import { addGradients as addWideGradients, settleMoments } from './wide';

/**
 * Performs `operation` over [from, to). Whether there is more to do: after the end of moments, add them up again; after the end of
 * gradients, add up those of wide channels; otherwise, ask whether values that are not finite come from such values.
 */
export function perform(job: Job, operation: i32, from: i32, to: i32): bool {
  return job.isDouble ? performOn<f64>(job, operation, from, to) : performOn<f32>(job, operation, from, to);
}

function performOn<T>(job: Job, operation: i32, from: i32, to: i32): bool {
  const channels = job.channels;
  switch (operation) {
    case 0: forwardTraining<T>(job, from, to); break;
    case 1: backward<T>(job, from, to, true); break;
    case 2: backward<T>(job, from, to, false); break;
    case 3: choosePivots<T>(job, from, to); break;
    case 4: moments<T>(job, 0, channels, from, to); break;
    case 5: return batchStatistics<T>(job, from, to);
    case 6: return settleMoments<T>(job, from, to);
    case 7: coefficients<T>(job, from, to); break;
    case 8: normalize<T>(job, 0, channels, from, to); break;
    case 9: gradientSums<T>(job, 0, channels, from, to); break;
    case 10: clearSums(job, from, to); break;
    case 11: return parameterGradients<T>(job, from, to);
    case 12: addWideGradients(job, 0, channels, from, to); break;
    case 13: return gradientCoefficients<T>(job, from, to);
    case 14: inputGradient<T>(job, 0, channels, from, to); break;
    case 15: scaledGradient<T>(job, 0, channels, from, to); break;
  }
  return false;
}

function forwardTraining<T>(job: Job, from: i32, to: i32): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    choosePivots<T>(job, c, end);
    moments<T>(job, c, end, 0, job.outer);
    if (batchStatistics<T>(job, c, end)) {
      moments<T>(job, c, end, 0, job.outer);
      batchStatistics<T>(job, c, end);
    }
    settleMoments<T>(job, c, end);
    coefficients<T>(job, c, end);
    normalize<T>(job, c, end, 0, job.outer);
  }
}

function backward<T>(job: Job, from: i32, to: i32, isTraining: bool): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    clearSums(job, c, end);
    gradientSums<T>(job, c, end, 0, job.outer);
    if (parameterGradients<T>(job, c, end)) addWideGradients(job, c, end, 0, job.outer);
    if (isTraining) {
      gradientCoefficients<T>(job, c, end);
      inputGradient<T>(job, c, end, 0, job.outer);
    } else scaledGradient<T>(job, c, end, 0, job.outer);
  }
}
