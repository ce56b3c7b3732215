// Numbers of a layer, one for each channel.
import { BatchNormError } from './errors.js';

/** `length` zeros. Errors: `LIMIT_EXCEEDED` where memory has no room for them. */
export function zeros(length: number): Float64Array {
  try {
    return new Float64Array(length);
  } catch (cause) {
    throw new BatchNormError('LIMIT_EXCEEDED', `received ${length} channels, expected as many as memory can hold`, {
      cause,
    });
  }
}
