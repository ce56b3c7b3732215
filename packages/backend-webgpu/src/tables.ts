// Tables of channels as the host reads and writes them: in float64, from the sums as shaders left them.
import type { GradientSums, Moments } from '@batchnorm/core-api';
import type { Normalizer } from '@batchnorm/core-api/float32-range';
import { coefficientFields, gradientFields, momentFields } from './shaders/tables.js';

/** mean = pivot + Σ d / M and m2 = Σ d² − (Σ d)² / M. */
export function momentsOf(table: Float32Array, count: number): Moments {
  const channels = table.length / momentFields;
  const [mean, m2] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    const at = c * momentFields;
    const sum = table[at + 1]! + table[at + 2]!;
    const squares = table[at + 3]! + table[at + 4]!;
    mean[c] = table[at]! + sum / count;
    m2[c] = Math.max(0, squares - (sum * sum) / count);
  }
  return { count, mean, m2 };
}

export function gradientSumsOf(table: Float32Array): GradientSums {
  const channels = table.length / gradientFields;
  const [dgamma, dbeta] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) {
    const at = c * gradientFields;
    dbeta[c] = table[at]! + table[at + 1]!;
    dgamma[c] = table[at + 2]!;
  }
  return { dgamma, dbeta };
}

export function tableOfGradientSums({ dgamma, dbeta }: GradientSums): Float32Array {
  const table = new Float32Array(dgamma.length * gradientFields);
  for (let c = 0; c < dgamma.length; c++) {
    const high = Math.fround(dbeta[c]!);
    table.set([high, dbeta[c]! - high, dgamma[c]!], c * gradientFields);
  }
  return table;
}

/** Of a normalisation that the host computes in float64. */
export function tableOfNormalizer({ mean, invStd, gamma, beta }: Normalizer): Float32Array {
  const table = new Float32Array(mean.length * coefficientFields);
  for (let c = 0; c < mean.length; c++) {
    const high = Math.fround(mean[c]!);
    const low = mean[c]! - high;
    const scale = gamma[c]! * invStd[c]!;
    table.set([high, scale, beta[c]! - low * scale, low, invStd[c]!], c * coefficientFields);
  }
  return table;
}
