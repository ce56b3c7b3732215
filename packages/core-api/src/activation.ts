// Activations in either kind of memory: as callers have them, and as kernels get them.
import type { Kernels, Memory, Operations } from './backend.js';
import { BatchNormError } from './errors.js';
import type { DeviceTensor, FloatArray, Tensor } from './tensor.js';
import { isDeviceTensor } from './validate.js';

export type Activation = Tensor | DeviceTensor;

/** What kernels work on: a host tensor's elements, or the device tensor. */
export function elementsOf(tensor: Activation): FloatArray | DeviceTensor {
  return isDeviceTensor(tensor) ? tensor : plain(tensor.data);
}

/** The same elements without what a subclass makes of them: `slice` and `subarray` of one call its constructor. */
function plain(data: FloatArray): FloatArray {
  const Elements = data.BYTES_PER_ELEMENT === 8 ? Float64Array : Float32Array;
  return Object.getPrototypeOf(data) === Elements.prototype
    ? data
    : new Elements(data.buffer as ArrayBuffer, data.byteOffset, data.length);
}

/** What callers work on: kernels' elements with their shape. */
export function activationOf(elements: FloatArray | DeviceTensor, shape: readonly number[]): Activation {
  return ArrayBuffer.isView(elements) ? { data: elements, shape: [...shape] } : elements;
}

/** The same tensor, though its owner gives the object another shape or other data. */
export function snapshotOf(x: Activation): Activation {
  return isDeviceTensor(x) ? x : { data: x.data, shape: [...x.shape] };
}

/** The operations for the memory that x lies in. Errors: `UNSUPPORTED`. */
export function operationsOn(x: Activation, kernels: Kernels): Operations<Memory> {
  if (!isDeviceTensor(x)) return kernels;
  if (kernels.device === undefined) {
    throw new BatchNormError(
      'UNSUPPORTED',
      'received a device tensor, expected a host tensor: these kernels have no device form',
    );
  }
  return kernels.device;
}
