// Vectors of numbers, out of tensors and arrays of whatever kind.
import { describe, float16Numbers, type Numbers, refuse } from '@batchnorm/core-api';
import { bfloat16Numbers, type Elements } from './element-types.js';
import type { FileTensor } from './tensor-file.js';

/**
 * [C] numbers: an array, a typed array, or a tensor of shape [C]. A Uint16Array has the bits of float16, as everywhere
 * in core-api, unless a tensor of a file says that its `dtype` is U16 or BF16.
 */
export type VectorLike = Numbers | { readonly data: Numbers | Elements; readonly shape: readonly number[] };

/** `values` as numbers, `length` of them if that is given. Errors: `INVALID_STATE`, which names the first that is not finite. */
export function vectorOf(name: string, values: VectorLike, length?: number): number[] {
  const numbers = numbersIn(name, values);
  if (length !== undefined && numbers.length !== length) {
    refuse('INVALID_STATE', `${numbers.length} numbers of ${name}`, `${length}, one for each channel`);
  }
  const c = numbers.findIndex((value) => typeof value !== 'number' || !Number.isFinite(value));
  if (c >= 0) refuse('INVALID_STATE', `${name}[${c}] = ${describe(numbers[c])}`, 'a finite number');
  return numbers;
}

/** The same of one that may be absent, which null is not. */
export function optionalVector(name: string, values: VectorLike | undefined, length: number): number[] | undefined {
  return values === undefined ? undefined : vectorOf(name, values, length);
}

function numbersIn(name: string, values: VectorLike): number[] {
  if (isArray(values)) return numbersOf(values);
  const { data, shape } = Object(values) as { data: unknown; shape: unknown };
  if (!isArray(data))
    refuse('INVALID_STATE', `${name} ${describe(values)}`, 'an array of numbers, or { data, shape: [C] }');
  if (shape !== undefined && (!Array.isArray(shape) || shape.length !== 1 || shape[0] !== data.length)) {
    refuse('INVALID_STATE', `${name} of shape [${shape}] with ${data.length} numbers`, 'shape [C]');
  }
  const { dtype } = Object(values) as { dtype?: unknown };
  if (dtype === 'BF16' && data instanceof Uint16Array) return Array.from(bfloat16Numbers(data));
  return dtype === 'U16' ? Array.from(data) : numbersOf(data);
}

function isArray(value: unknown): value is ArrayLike<number> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

function numbersOf(values: ArrayLike<number>): number[] {
  if (!(values instanceof Uint16Array)) return Array.from(values);
  return Array.from(values, (bits) => float16Numbers()[bits]!);
}

/** Numbers in an array of `dtype`. Errors: `INVALID_STATE` for one that float32 can't hold. */
export function tensorFrom(name: string, numbers: readonly number[], dtype: 'F32' | 'F64'): FileTensor {
  const data = dtype === 'F32' ? Float32Array.from(numbers) : Float64Array.from(numbers);
  const c = data.findIndex((value) => !Number.isFinite(value));
  if (c >= 0) refuse('INVALID_STATE', `${name}[${c}] = ${numbers[c]}`, "what float32 can hold, or dtype 'F64'");
  return { dtype, shape: [data.length], data };
}
