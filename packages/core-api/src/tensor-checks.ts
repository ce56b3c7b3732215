// Tensors are checked before any backend is asked: every backend refuses the same input with the same code.
import { type Activation, isDeviceTensor } from './activation.js';
import type { Backend, DeviceTensor } from './backend.js';
import { describe, describeShape } from './describe.js';
import { refuse } from './errors.js';
import { type Extent, extentOf, product, valuesPerChannel } from './extent.js';
import type { LayerOptions, ResolvedOptions } from './options.js';
import { type Dtype, dtypeOf, type FloatArray, type Tensor } from './tensor.js';
import { readUntrusted } from './untrusted.js';

/**
 * Errors: `INVALID_TENSOR` unless `value` is a host tensor whose `data` has as many elements as `shape` says;
 * `DTYPE_MISMATCH` for a typed array of another element type.
 */
export function assertTensor(value: unknown, name = 'tensor'): asserts value is Tensor {
  const { data, shape } = Object(value) as Partial<Tensor>;
  if (!isFloatArray(data)) {
    const code = ArrayBuffer.isView(data) ? 'DTYPE_MISMATCH' : 'INVALID_TENSOR';
    refuse(code, `${name} of ${describe(data ?? value)}`, '{ data: Float32Array or Float64Array, shape }');
  }
  assertShape(shape, name);
  if (data.length !== product(shape)) {
    refuse(
      'INVALID_TENSOR',
      `${name} of ${data.length} elements`,
      `${product(shape)} for shape ${describeShape(shape)}`,
    );
  }
}

/** The class of a typed array, also of another realm (an iframe, a test runner), where `instanceof` does not help. */
const tagOf = (value: unknown): unknown => (ArrayBuffer.isView(value) ? Object(value)[Symbol.toStringTag] : undefined);

function isFloatArray(value: unknown): value is FloatArray {
  const tag = tagOf(value);
  return tag === 'Float32Array' || tag === 'Float64Array';
}

function assertShape(shape: unknown, name: string): asserts shape is readonly number[] {
  if (!isShape(shape)) {
    const received = Array.isArray(shape) ? describeShape(Array.from(shape)) : describe(shape);
    refuse('INVALID_TENSOR', `${name} of shape ${received}`, 'an array of whole numbers that are not negative');
  }
  let elements = 1;
  for (const size of shape) if (size > 0) elements *= size;
  if (!Number.isSafeInteger(elements)) {
    refuse(
      'INVALID_TENSOR',
      `${name} of shape ${describeShape(shape)}`,
      'sizes whose product is a safe integer, zeros aside',
    );
  }
}

function isShape(value: unknown): value is readonly number[] {
  if (!Array.isArray(value)) return false;
  // Not `every`, which skips holes.
  for (let d = 0; d < value.length; d++) {
    if (!Number.isSafeInteger(value[d]) || value[d] < 0) return false;
  }
  return true;
}

/** Errors: `FOREIGN_TENSOR` where the getter throws: the object is not of the class that has the getter. */
function isDisposed(tensor: DeviceTensor, name: string): boolean {
  try {
    return tensor.disposed;
  } catch {
    refuse('FOREIGN_TENSOR', `${name}, an object that only looks like a device tensor`, 'one that a backend made');
  }
}

/** Errors: those of `assertTensor`; `FOREIGN_TENSOR`, `DISPOSED` and `DTYPE_MISMATCH`. */
function assertActivation(value: unknown, name: string, dtype: Dtype, backend: Backend): asserts value is Activation {
  const tensor = Object(value) as Activation;
  if (!('data' in tensor) && 'read' in tensor) {
    if (tensor.backend !== backend) {
      refuse(
        'FOREIGN_TENSOR',
        `${name} of another backend ('${tensor.backend?.name}')`,
        `one that this '${backend.name}' made`,
      );
    }
    if (isDisposed(tensor as DeviceTensor, name))
      refuse('DISPOSED', `${name}, a disposed device tensor`, 'one that is alive');
  } else {
    assertTensor(value, name);
  }
  const received = isDeviceTensor(tensor) ? tensor.dtype : dtypeOf(tensor.data);
  if (received !== dtype) refuse('DTYPE_MISMATCH', `${name} of ${received}`, `${dtype}, as the layer has`);
}

/**
 * The extent of an input x. Errors: those of `assertTensor`, `validateInputShape` and `assertWithinLimits`;
 * `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`.
 */
export function validateInput(x: unknown, options: ResolvedOptions): Extent {
  const { dtype, backend } = options;
  return readUntrusted('INVALID_TENSOR', 'elements of a tensor x', () => {
    assertActivation(x, 'x', dtype, backend);
    const extent = validateInputShape(x.shape, options);
    assertWithinLimits(backend, x.shape);
    return extent;
  });
}

/**
 * The extent of an input of this shape. Errors: `SHAPE_MISMATCH` where the rank is below 2, has no such axis, or the
 * axis has not `numFeatures` channels; `EMPTY_BATCH` where a channel has no value, unless `emptyBatch` lets that pass.
 */
export function validateInputShape(
  shape: readonly number[],
  {
    axis,
    numFeatures,
    emptyBatch = 'reject',
  }: Pick<LayerOptions, 'numFeatures' | 'emptyBatch'> & { readonly axis: number },
): Extent {
  const rank = shape.length;
  if (rank < 2 || axis >= rank || axis < -rank) {
    refuse('SHAPE_MISMATCH', `x of shape ${describeShape(shape)}`, `rank 2 or more, with an axis ${axis} for channels`);
  }
  const extent = extentOf(shape, axis);
  if (extent.channels !== numFeatures) {
    refuse(
      'SHAPE_MISMATCH',
      `x of shape ${describeShape(shape)} with ${extent.channels} channels on axis ${axis}`,
      `${numFeatures} channels, as numFeatures says`,
    );
  }
  if (emptyBatch === 'reject' && valuesPerChannel(extent) === 0) {
    refuse('EMPTY_BATCH', `x of shape ${describeShape(shape)}`, 'at least one value per channel');
  }
  return extent;
}

/** Errors: `LIMIT_EXCEEDED` for an activation of more elements than the backend's `limits.elements`. */
export function assertWithinLimits({ capabilities: { limits }, name }: Backend, shape: readonly number[]): void {
  if (product(shape) <= limits.elements) return;
  refuse(
    'LIMIT_EXCEEDED',
    `x of ${product(shape)} elements`,
    `at most ${limits.elements}, the limit of backend '${name}'`,
  );
}

/**
 * Errors: `SINGLE_VALUE` where each channel has one value, and the options refuse batch statistics of it.
 * `runningVariance` is the old name of `varianceEstimator`.
 */
export function assertEnoughValues(
  extent: Extent,
  {
    singleValue,
    runningVariance,
    varianceEstimator = runningVariance,
  }: Pick<ResolvedOptions, 'singleValue'> & Pick<LayerOptions, 'varianceEstimator' | 'runningVariance'>,
): void {
  if (valuesPerChannel(extent) > 1) return;
  if (varianceEstimator === 'sample') {
    refuse(
      'SINGLE_VALUE',
      '1 value per channel',
      "at least 2: the factor M/(M−1) of varianceEstimator 'sample' has no value",
    );
  }
  if (singleValue === 'reject')
    refuse('SINGLE_VALUE', '1 value per channel', "at least 2, as singleValue 'reject' says");
}

/**
 * Errors: those of `assertActivation`, and `SHAPE_MISMATCH`, unless `tensor` has the dtype, backend and shape of
 * `reference`; `INVALID_TENSOR` where one is on the host and the other on the device.
 */
export function assertLike(
  tensor: unknown,
  name: string,
  reference: Activation,
  { dtype, backend }: ResolvedOptions,
): asserts tensor is Activation {
  readUntrusted('INVALID_TENSOR', `elements of a tensor ${name}`, () => {
    assertActivation(tensor, name, dtype, backend);
    if (isDeviceTensor(tensor) !== isDeviceTensor(reference)) {
      const place = (activation: Activation) => (isDeviceTensor(activation) ? 'on the device' : 'on the host');
      refuse('INVALID_TENSOR', `${name} ${place(tensor)}`, `one ${place(reference)}, where x is`);
    }
    const { shape } = tensor;
    if (shape.length !== reference.shape.length || !shape.every((size, d) => size === reference.shape[d])) {
      refuse(
        'SHAPE_MISMATCH',
        `${name} of shape ${describeShape(shape)}`,
        `${describeShape(reference.shape)}, the shape of x`,
      );
    }
  });
}

/**
 * Errors: `INVALID_TENSOR` unless `value` can receive the gradient of a parameter: a Float64Array of `length`, or a
 * device vector where x is a device tensor.
 */
export function assertVector(value: unknown, name: string, length: number, x: Activation): void {
  if (isDeviceTensor(x)) {
    if (typeof Object(value).read !== 'function')
      refuse('INVALID_TENSOR', `${name} ${describe(value)}`, 'a device vector');
  } else if (tagOf(value) !== 'Float64Array' || (value as Float64Array).length !== length) {
    refuse('INVALID_TENSOR', `${name} ${describe(value)}`, `Float64Array(${length})`);
  }
}
