// Values that layers and backends exchange: row-major, contiguous arrays on the host, and values on a device.
import type { MaybePromise } from './maybe-promise.js';

/** Element type of activations. float16 is for storage: what is computed of it is computed as of float32. */
export type Dtype = 'float16' | 'float32' | 'float64';

/** Elements of an activation on the host. Those of float16 are their bits (IEEE 754 binary16). */
export type FloatArray = Float32Array | Float64Array | Uint16Array;

/** A Float16Array, where the engine has it. */
export interface Float16Elements extends ArrayBufferView {
  readonly [Symbol.toStringTag]: 'Float16Array';
  readonly length: number;
  [index: number]: number;
}

/** A tensor whose elements are in a Float16Array. What a layer makes of it is in one, too. */
export interface Float16Tensor<E extends Float16Elements = Float16Elements> {
  readonly data: E;
  readonly shape: readonly number[];
}

/** An activation on the host: `data` holds the elements of `shape`, row-major and contiguous. */
export interface Tensor {
  readonly data: FloatArray;
  readonly shape: readonly number[];
}

/** A value in the memory of a backend's device. */
export interface OnDevice<T> {
  /**
   * Copies the value to the host. Errors: `DISPOSED`, also for what never will have been computed; `DEVICE_LOST`;
   * `UNSUPPORTED` while it can't be read yet, because it is computed by what nobody has submitted to the device, and by no
   * means where it never can be: the statistics of a batch wait for as long.
   */
  read(): MaybePromise<T>;
  /**
   * The value itself, without a copy and at once; absent where the host can't reach the device's memory. Valid until
   * the next call of the backend, which may move its memory. A view does not keep the value alive: keep a reference to
   * the value, too. Errors: `DISPOSED`.
   */
  view?(): T;
  /** Frees its memory. Again is allowed and does nothing. */
  dispose(): void;
}

/** The dtype that a typed array stores. */
export function dtypeOf({ BYTES_PER_ELEMENT: size }: FloatArray): Dtype {
  return size === 8 ? 'float64' : size === 4 ? 'float32' : 'float16';
}

/** The class of the elements of each dtype. */
export const arrayOf: {
  readonly float16: typeof Uint16Array;
  readonly float32: typeof Float32Array;
  readonly float64: typeof Float64Array;
} = { float16: Uint16Array, float32: Float32Array, float64: Float64Array };

/** A zeroed array of `length` elements of `dtype`. */
export function allocate(dtype: Dtype, length: number): FloatArray {
  return new arrayOf[dtype](length);
}
