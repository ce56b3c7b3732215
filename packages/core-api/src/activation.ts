// Activations in either kind of memory: as callers have them, and as kernels get them.
import type { DeviceTensor } from './backend.js';
import type { FloatArray, Tensor } from './tensor.js';

export type Activation = Tensor | DeviceTensor;

export function isDeviceTensor(activation: Activation): activation is DeviceTensor {
  return !('data' in activation);
}

/** What kernels work on: a host tensor's elements, or the device tensor. */
export function elementsOf(tensor: Activation): FloatArray | DeviceTensor {
  return isDeviceTensor(tensor) ? tensor : plain(tensor.data);
}

/** The same elements as a plain typed array: methods of a subclass, such as `slice`, call its constructor. */
function plain(data: FloatArray): FloatArray {
  const Elements = data.BYTES_PER_ELEMENT === 8 ? Float64Array : Float32Array;
  return Object.getPrototypeOf(data) === Elements.prototype
    ? data
    : new Elements(data.buffer as ArrayBuffer, data.byteOffset, data.length);
}

/** What callers work on: a host array with its shape, or the device tensor, which has one. */
export function activationOf(elements: FloatArray | DeviceTensor, shape: readonly number[]): Activation {
  return ArrayBuffer.isView(elements) ? { data: elements, shape: [...shape] } : elements;
}
