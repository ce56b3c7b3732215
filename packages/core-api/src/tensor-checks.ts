// Tensors are checked before any backend is asked: every backend refuses the same input with the same code.
import { type Activation, isDeviceTensor } from './activation.js';
import { AllocatedTensor } from './allocated-tensor.js';
import type { Backend, DeviceTensor } from './backend.js';
import { describe, describeShape } from './describe.js';
import { refuse } from './errors.js';
import { type Extent, extentOf, mostAxes, product, valuesPerChannel } from './extent.js';
import type { LayerOptions, ResolvedOptions } from './options.js';
import { dtypeOf, type FloatArray, type Tensor } from './tensor.js';
import { readUntrusted } from './untrusted.js';

/** Errors: those of `checkedTensor`. */
export function assertTensor(value: unknown, name = 'tensor'): asserts value is Tensor {
  checkedTensor(value, name);
}

/** A tensor as it was when it was checked. */
export interface CheckedTensor extends Tensor {
  /** Who may give its memory back, if it is an allocated one. */
  readonly owner: AllocatedTensor | undefined;
}

/** An activation as it was when it was checked. */
export type CheckedActivation = CheckedTensor | DeviceTensor;

/**
 * The host tensor `value` with a shape of its own. It is read once: getters that answer something else later lead nobody
 * astray. Errors: `INVALID_TENSOR` unless `data` has as many elements as `shape` says; `DTYPE_MISMATCH` for a typed
 * array of another element type; `DISPOSED`.
 */
export function checkedTensor(value: unknown, name = 'tensor'): CheckedTensor {
  return readUntrusted('INVALID_TENSOR', `elements of a tensor ${name}`, () => tensorOf(value, name));
}

function tensorOf(value: unknown, name: string): CheckedTensor {
  const owner = value instanceof AllocatedTensor ? value : undefined;
  if (owner?.disposed) refuse('DISPOSED', `${name}, a disposed tensor`, 'one that is alive');
  const { data, shape: sizes } = Object(value) as Partial<Tensor>;
  if (!isFloatArray(data)) {
    const code = ArrayBuffer.isView(data) ? 'DTYPE_MISMATCH' : 'INVALID_TENSOR';
    refuse(
      code,
      `${name} of ${describe(data ?? value)}`,
      '{ data: Float32Array, Float64Array or float16 bits, shape }',
    );
  }
  const shape = shapeOf(sizes, name);
  const elements = product(shape);
  if (data.length !== elements || lengthOf.call(data) !== elements) {
    refuse('INVALID_TENSOR', `${name} of ${data.length} elements`, `${elements} for shape ${describeShape(shape)}`);
  }
  return { data, shape, owner };
}

/** The length of a typed array, whatever property of that name somebody has given it. */
const lengthOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Float32Array.prototype), 'length')!.get!;

/** The class of a typed array, also of another realm (an iframe, a test runner), where `instanceof` does not help. */
export const typedArrayName = (value: unknown): unknown =>
  ArrayBuffer.isView(value) ? Object(value)[Symbol.toStringTag] : undefined;

function isFloatArray(value: unknown): value is FloatArray {
  const tag = typedArrayName(value);
  return tag === 'Float32Array' || tag === 'Float64Array' || tag === 'Uint16Array' || tag === 'Float16Array';
}

/** A copy of the shape `value`. Errors: `INVALID_TENSOR`. */
export function shapeOf(value: unknown, name: string): readonly number[] {
  if (!Array.isArray(value)) refuse('INVALID_TENSOR', `${name} of shape ${describe(value)}`, expectedShape);
  const rank = value.length;
  if (rank > mostAxes) refuse('INVALID_TENSOR', `${name} of ${rank} axes`, `at most ${mostAxes}`);
  const shape: number[] = [];
  // Not a spread, which trusts an iterator.
  for (let d = 0; d < rank; d++) shape.push(value[d]);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    refuse('INVALID_TENSOR', `${name} of shape ${describeShape(shape)}`, expectedShape);
  }
  let elements = 1;
  for (const size of shape) if (size > 0) elements *= size;
  if (!Number.isSafeInteger(elements)) {
    const expected = 'sizes whose product is a safe integer, zeros aside';
    refuse('INVALID_TENSOR', `${name} of shape ${describeShape(shape)}`, expected);
  }
  return shape;
}

const expectedShape = 'an array of whole numbers that are not negative';

/** Errors: `FOREIGN_TENSOR` where the getter throws: the object is not of the class that has the getter. */
export function isDisposed(tensor: DeviceTensor, name: string): boolean {
  try {
    return tensor.disposed;
  } catch {
    refuse('FOREIGN_TENSOR', `${name}, an object that only looks like a device tensor`, 'one that a backend made');
  }
}

/** What `value` is: as `checkedTensor`, or a device tensor. Errors: also `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`. */
function activationFrom(value: unknown, name: string, { dtype, backend }: ResolvedOptions): CheckedActivation {
  const given = Object(value) as Activation;
  const isOnDevice = isDeviceTensor(given) && 'read' in given;
  const tensor = isOnDevice ? given : tensorOf(value, name);
  if (isOnDevice) {
    if (given.backend !== backend) {
      refuse(
        'FOREIGN_TENSOR',
        `${name} of another backend ('${given.backend?.name}')`,
        `one that this '${backend.name}' made`,
      );
    }
    if (isDisposed(given, name)) refuse('DISPOSED', `${name}, a disposed device tensor`, 'one that is alive');
  }
  const received = isDeviceTensor(tensor) ? tensor.dtype : dtypeOf(tensor.data);
  if (received !== dtype) refuse('DTYPE_MISMATCH', `${name} of ${received}`, `${dtype}, as the layer has`);
  return tensor;
}

/**
 * An input x, read once, and its extent. Errors: those of `checkedTensor`, `validateInputShape` and
 * `assertWithinLimits`; `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`.
 */
export function checkedInput(value: unknown, options: ResolvedOptions): { x: CheckedActivation; extent: Extent } {
  return readUntrusted('INVALID_TENSOR', 'elements of a tensor x', () => {
    const x = activationFrom(value, 'x', options);
    const extent = validateInputShape(x.shape, options);
    assertWithinLimits(options.backend, x.shape);
    return { x, extent };
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
export function assertWithinLimits(
  { capabilities: { limits }, name: backend }: Backend,
  shape: readonly number[],
  name = 'x',
): void {
  if (product(shape) <= limits.elements) return;
  refuse(
    'LIMIT_EXCEEDED',
    `${name} of ${product(shape)} elements`,
    `at most ${limits.elements}, the limit of backend '${backend}'`,
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
 * The tensor `value`, read once, which has the dtype, backend and shape of `reference`. Errors: those of `checkedTensor`;
 * `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`, `SHAPE_MISMATCH`; `INVALID_TENSOR` where one is on the host and the
 * other on the device.
 */
export function checkedLike(
  value: unknown,
  name: string,
  reference: Activation,
  options: ResolvedOptions,
): CheckedActivation {
  return readUntrusted('INVALID_TENSOR', `elements of a tensor ${name}`, () => {
    const tensor = activationFrom(value, name, options);
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
    return tensor;
  });
}

/**
 * Errors: `INVALID_TENSOR` unless `value` can receive the gradient of a parameter: a Float64Array of `length`, or a
 * device vector where x is a device tensor.
 */
export function assertVector(value: unknown, name: string, length: number, x: Activation): void {
  readUntrusted('INVALID_TENSOR', `elements of ${name}`, () => {
    if (isDeviceTensor(x)) {
      if (typeof Object(value).read !== 'function')
        refuse('INVALID_TENSOR', `${name} ${describe(value)}`, 'a device vector');
    } else if (typedArrayName(value) !== 'Float64Array' || lengthOf.call(value) !== length) {
      refuse('INVALID_TENSOR', `${name} ${describe(value)}`, `Float64Array(${length})`);
    }
  });
}
