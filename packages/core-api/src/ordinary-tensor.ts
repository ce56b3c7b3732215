// Allocated tensors of backends that compute wherever arrays lie, and what all allocated tensors are checked for.
import { inClassOf, plain } from './activation.js';
import { AllocatedTensor } from './allocated-tensor.js';
import type { Backend } from './backend.js';
import { refuse } from './errors.js';
import { product } from './extent.js';
import { assertDtype } from './resolve-options.js';
import { allocate, type Dtype, dtypeOf, type FloatArray, type Tensor } from './tensor.js';
import { assertWithinLimits, checkedTensor, shapeOf } from './tensor-checks.js';

/** What `Backend.empty` gives where ordinary arrays are as good as any. Errors: those of `checkedShape`. */
export function ordinaryTensor(backend: Backend, shape: readonly number[], dtype: Dtype): AllocatedTensor {
  const own = checkedShape(backend, shape, dtype);
  return new AllocatedTensor(zerosOf(dtype, product(own)), own, () => undefined);
}

/** What `Backend.from` gives, by the backend's `empty`. Errors: those of `Backend.from`. */
export function copyOn(backend: Backend, tensor: Tensor): AllocatedTensor {
  const given = checkedTensor(tensor);
  const elements = plain(given.data);
  const copy = backend.empty(given.shape, dtypeOf(elements));
  copy.data.set(elements);
  return inClassOf(given, copy);
}

/** Whether the tensors that `backend` allocates lie in memory of its own: results of one then lie there, too. */
export function allocatesMemory(backend: Backend, dtype: Dtype): boolean {
  if (!backend.resultLike) return false;
  const tensor = backend.empty([1, 1], dtype);
  const result = backend.resultLike(tensor);
  for (const one of [tensor, result]) one?.dispose();
  return result !== undefined;
}

/** A copy of `shape`. Errors: `INVALID_TENSOR`; `DTYPE_MISMATCH` and `LIMIT_EXCEEDED` for more than `backend` can do. */
export function checkedShape(backend: Backend, shape: readonly number[], dtype: Dtype): readonly number[] {
  const own = shapeOf(shape, 'tensor');
  assertDtype(backend, dtype);
  assertWithinLimits(backend, own, 'tensor');
  return own;
}

/** Errors: `LIMIT_EXCEEDED` where the engine has no room for them. */
function zerosOf(dtype: Dtype, elements: number): FloatArray {
  try {
    return allocate(dtype, elements);
  } catch (cause) {
    refuse('LIMIT_EXCEEDED', `a tensor of ${elements} elements`, 'as many as the engine has memory for', { cause });
  }
}
