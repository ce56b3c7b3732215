// The bytes that an operation must move at least: its time is held against that of a copy of as many.
import { product } from '@batchnorm/core-api';
import type { Case, Operation } from './case.js';

/**
 * The activations that an operation reads or writes at least once, if it keeps in cache what it needs twice: x and y;
 * x, dy and dx; and both for a step, with a residual and its gradient where there is one.
 */
export const streams: Readonly<Record<Operation, number>> = {
  'forward-training': 2,
  'forward-inference': 2,
  backward: 3,
  'training-step': 5,
  'add-relu-step': 7,
  'add-relu-apart': 7,
};

const bytesPerElement = { float16: 2, float32: 4, float64: 8 } as const;

export function bytesMoved({ operation, shape, dtype }: Pick<Case, 'operation' | 'shape' | 'dtype'>): number {
  return streams[operation] * product(shape) * bytesPerElement[dtype];
}
