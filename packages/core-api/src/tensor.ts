// Values that layers and backends exchange: row-major, contiguous arrays on the host, and values on a device.
import type { MaybePromise } from './maybe-promise.js';

/** Element type of activations. */
export type Dtype = 'float32' | 'float64';

/** Elements of an activation on the host. */
export type FloatArray = Float32Array | Float64Array;

/** An activation on the host: `data` holds the elements of `shape`, row-major and contiguous. */
export interface Tensor {
  readonly data: FloatArray;
  readonly shape: readonly number[];
}

/** A value in the memory of a backend's device. */
export interface OnDevice<T> {
  /** Copies the value to the host. Errors: `DISPOSED`, `DEVICE_LOST`. */
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
export function dtypeOf(data: FloatArray): Dtype {
  return data.BYTES_PER_ELEMENT === 8 ? 'float64' : 'float32';
}

/** A zeroed array of `length` elements of `dtype`. */
export function allocate(dtype: Dtype, length: number): FloatArray {
  return dtype === 'float64' ? new Float64Array(length) : new Float32Array(length);
}
