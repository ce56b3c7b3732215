// The bytes that an operation must move at least: what its time is held against is a copy of as many.
import { type Dtype, type Operation, product } from '@batchnorm/core-api';

/**
 * The activations that an operation reads or writes at least once, if it keeps in cache what it needs twice: x and y; x, dy and
 * dx; and both for a step.
 */
export const streams: Readonly<Record<Operation, number>> = {
  'forward-training': 2,
  'forward-inference': 2,
  backward: 3,
  'training-step': 5,
};

export interface Moved {
  readonly operation: Operation;
  readonly shape: readonly number[];
  readonly dtype: Dtype;
}

export function bytesMoved({ operation, shape, dtype }: Moved): number {
  return streams[operation] * product(shape) * (dtype === 'float64' ? 8 : 4);
}
