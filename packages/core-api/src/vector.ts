// Vectors of a layer: one float64 for each channel.

import { refuse } from './errors.js';

/** `length` zeros. Errors: `LIMIT_EXCEEDED` where memory has no room for them. */
export function zeros(length: number): Float64Array {
  try {
    return new Float64Array(length);
  } catch (cause) {
    refuse('LIMIT_EXCEEDED', `${length} channels`, 'as many as memory can hold', { cause });
  }
}
