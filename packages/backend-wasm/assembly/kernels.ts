// What the host can ask for, by opcode, over a range: of channels or of outer indices, as src/abi/opcode.ts says.
// Threads divide channels among them where those are runs, else outer indices.
import * as opcode from '../src/abi/opcode';
import { Job } from './job';
import { gradientSums, inputGradient, moments, normalize, scaledGradient } from './passes';
import {
  batchStatistics,
  choosePivots,
  clearSums,
  coefficients,
  correctStatistics,
  gradientCoefficients,
  parameterGradients,
} from './per-channel';
import { wideGradients, wideStatistics } from './wide';

/**
 * Does what `code` stands for over [from, to). Whether something is left to do. After `batchStatistics`: to add up
 * moments again, around the pivots that are there now. After `parameterGradients`: `wideGradients`. After
 * `wideStatistics` and `gradientCoefficients`: to look whether results that are not finite come from an x or a dy that
 * is not.
 */
export function perform(job: Job, code: i32, from: i32, to: i32): bool {
  if (job.elementBytes == 2) return performOn<u16, f32>(job, code, from, to);
  if (job.elementBytes == 4) return performOn<f32, f32>(job, code, from, to);
  return performOn<f64, f64>(job, code, from, to);
}

function performOn<S, T extends number>(job: Job, code: i32, from: i32, to: i32): bool {
  const channels = job.channels;
  // biome-ignore format: one line for one opcode
  switch (code) {
    case opcode.forwardTraining: forwardTraining<S, T>(job, from, to); break;
    case opcode.backwardTraining: backward<S, T>(job, from, to, true); break;
    case opcode.backwardInference: backward<S, T>(job, from, to, false); break;
    case opcode.choosePivots: choosePivots<S, T>(job, from, to); break;
    case opcode.moments: moments<S, T>(job, 0, channels, from, to); break;
    case opcode.batchStatistics: return batchStatistics<T>(job, from, to);
    case opcode.correctStatistics: correctStatistics<T>(job, from, to); break;
    case opcode.wideStatistics: return wideStatistics<T>(job, from, to);
    case opcode.coefficients: coefficients<T>(job, from, to); break;
    case opcode.normalize: normalize<S, T>(job, 0, channels, from, to); break;
    case opcode.gradientSums: gradientSums<S, T>(job, 0, channels, from, to); break;
    case opcode.clearSums: clearSums(job, from, to); break;
    case opcode.parameterGradients: return parameterGradients<T>(job, from, to);
    case opcode.wideGradients: wideGradients<S, T>(job, 0, channels, from, to); break;
    case opcode.gradientCoefficients: return gradientCoefficients<T>(job, from, to);
    case opcode.batchMoments: batchMoments<S, T>(job, from, to); break;
    case opcode.batchGradients: batchGradients<S, T>(job, from, to); break;
    case opcode.inputGradient: inputGradient<S, T>(job, 0, channels, from, to); break;
    case opcode.scaledGradient: scaledGradient<S, T>(job, 0, channels, from, to); break;
  }
  return false;
}

// What comes in panels: channels whose values stay in cache from one pass over them to the next.

function batchMoments<S, T extends number>(job: Job, from: i32, to: i32): void {
  for (let c = from; c < to; c += job.panel) momentsOfPanel<S, T>(job, c, min(c + job.panel, to));
}

function forwardTraining<S, T extends number>(job: Job, from: i32, to: i32): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    momentsOfPanel<S, T>(job, c, end);
    coefficients<T>(job, c, end);
    normalize<S, T>(job, c, end, 0, job.outer);
  }
}

function momentsOfPanel<S, T extends number>(job: Job, c: i32, end: i32): void {
  choosePivots<S, T>(job, c, end);
  moments<S, T>(job, c, end, 0, job.outer);
  if (batchStatistics<T>(job, c, end)) {
    moments<S, T>(job, c, end, 0, job.outer);
    correctStatistics<T>(job, c, end);
  }
  wideStatistics<T>(job, c, end);
}

function batchGradients<S, T extends number>(job: Job, from: i32, to: i32): void {
  for (let c = from; c < to; c += job.panel) gradientsOfPanel<S, T>(job, c, min(c + job.panel, to));
}

function backward<S, T extends number>(job: Job, from: i32, to: i32, isTraining: bool): void {
  for (let c = from; c < to; c += job.panel) {
    const end = min(c + job.panel, to);
    gradientsOfPanel<S, T>(job, c, end);
    if (isTraining) {
      gradientCoefficients<T>(job, c, end);
      inputGradient<S, T>(job, c, end, 0, job.outer);
    } else scaledGradient<S, T>(job, c, end, 0, job.outer);
  }
}

function gradientsOfPanel<S, T extends number>(job: Job, c: i32, end: i32): void {
  clearSums(job, c, end);
  gradientSums<S, T>(job, c, end, 0, job.outer);
  if (parameterGradients<T>(job, c, end)) wideGradients<S, T>(job, c, end, 0, job.outer);
}
