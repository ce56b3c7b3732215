// Tensors: row-major, contiguous, on the host or on a backend's device.
import type { Backend } from './backend.js';
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

/** A value that lies on a backend's device. */
export interface OnDevice<T> {
  /** Copies the value to the host. Errors: `DISPOSED`, `DEVICE_LOST`. */
  read(): MaybePromise<T>;
  /**
   * The value itself, no copy and no waiting, where memory is shared with the host; absent elsewhere. Good until the next call of the
   * backend, which may move its memory: ask again then. It does not keep the value alive: hold that, too. Errors: `DISPOSED`.
   */
  view?(): T;
  /** Frees its memory. Again is allowed and does nothing. */
  dispose(): void;
}

/** An activation where its backend computes: a texture, a GPU buffer, a place in wasm memory. */
export interface DeviceTensor extends OnDevice<FloatArray> {
  /** The backend that made it; every other refuses it with `FOREIGN_TENSOR`. */
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly disposed: boolean;
}

/** The dtype that a typed array stores. */
export function dtypeOf(data: FloatArray): Dtype {
  return data.BYTES_PER_ELEMENT === 8 ? 'float64' : 'float32';
}

/** A zeroed array of `length` elements of `dtype`. */
export function allocate(dtype: Dtype, length: number): FloatArray {
  return dtype === 'float64' ? new Float64Array(length) : new Float32Array(length);
}
