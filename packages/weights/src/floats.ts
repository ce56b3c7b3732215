// A tensor of a file as what computes takes it.
import { elementsFrom, type FloatArray, refuse } from '@batchnorm/core-api';
import { bfloat16Numbers } from './element-types.js';
import type { FileTensor } from './tensor-file.js';

/** A tensor of floats; those of float16 are their bits. */
export interface FloatTensor {
  readonly data: FloatArray;
  readonly shape: readonly number[];
}

/** `tensor` for `fold`, or for a layer. Errors: `UNSUPPORTED` for elements that are no floats. */
export function floats({ dtype, data, shape }: FileTensor): FloatTensor {
  if (data instanceof Uint16Array && dtype === 'F16') return { data, shape };
  if (data instanceof Uint16Array && dtype === 'BF16') return { data: bfloat16Numbers(data), shape };
  if (dtype === 'F16') return { data: elementsFrom('float16', data as Float32Array), shape };
  if (data instanceof Float32Array || data instanceof Float64Array) return { data, shape };
  refuse('UNSUPPORTED', `a tensor of ${dtype}`, 'floats');
}
