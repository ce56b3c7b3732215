// Stages of either memory, asked in the same words.
import type { Memory, OnDevice, Stages } from '@batchnorm/core-api';

/** Stages without a fused form. */
export function unfused(stages: Stages<Memory>): Stages<Memory> {
  return {
    moments: (input) => stages.moments(input),
    normalize: (input) => stages.normalize(input),
    gradientSums: (input) => stages.gradientSums(input),
    inputGradient: (input) => stages.inputGradient(input),
  };
}

/** A value of a host stage, or what one of the device has in it. */
export async function read<T>(value: T | OnDevice<T>): Promise<T> {
  return value !== null && typeof value === 'object' && 'read' in value ? await value.read() : (value as T);
}
