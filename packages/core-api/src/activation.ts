// Activations in either kind of memory: as callers have them, and as kernels get them.
import { AllocatedTensor } from './allocated-tensor.js';
import type { DeviceTensor } from './backend.js';
import { arrayOf, dtypeOf, type Float16Elements, type Float16Tensor, type FloatArray, type Tensor } from './tensor.js';

export type Activation = Tensor | DeviceTensor;

/** As callers may have them. */
export type AnyActivation = Activation | Float16Tensor;

export function isDeviceTensor(activation: Activation): activation is DeviceTensor {
  return !('data' in activation);
}

/** What kernels work on: a host tensor's elements, or the device tensor. */
export function elementsOf(tensor: Activation): FloatArray | DeviceTensor {
  return isDeviceTensor(tensor) ? tensor : plain(tensor.data);
}

/**
 * The same elements as a plain typed array: methods of a subclass, such as `slice`, call its constructor. A Float16Array
 * as its bits.
 */
export function plain(data: FloatArray): FloatArray {
  const Elements = arrayOf[dtypeOf(data)];
  return Object.getPrototypeOf(data) === Elements.prototype
    ? data
    : new Elements(data.buffer as ArrayBuffer, data.byteOffset, data.length);
}

/** `tensor`; its bits of float16 are in a Float16Array where those of `like` are. */
export function inClassOf(like: Tensor, tensor: AllocatedTensor): AllocatedTensor {
  const data = asClassOf(like.data, tensor.data);
  return data === tensor.data ? tensor : new AllocatedTensor(data, tensor.shape, () => tensor.dispose());
}

/** `elements`; bits of float16 are in a Float16Array where those of `like` are. */
export function asClassOf(like: FloatArray | Float16Elements, elements: FloatArray): FloatArray {
  if (like[Symbol.toStringTag] !== 'Float16Array') return elements;
  const { Float16Array } = globalThis as unknown as { Float16Array: Uint16ArrayConstructor };
  return new Float16Array(elements.buffer as ArrayBuffer, elements.byteOffset, elements.length);
}
