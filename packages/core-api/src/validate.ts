// The one validator: every backend refuses the same input with the same code, because this is where it happens.
import type { Backend } from './backend.js';
import { describe, describeShape } from './describe.js';
import { BatchNormError, type ErrorCode } from './errors.js';
import { type Extent, extentOf, product, valuesPerChannel } from './extent.js';
import { looking } from './looking.js';
import {
  type BatchNormOptions,
  defaultOptions,
  type LayerOptions,
  type Momentum,
  type ResolvedOptions,
} from './options.js';
import { type DeviceTensor, type Dtype, dtypeOf, type FloatArray, type OnDevice, type Tensor } from './tensor.js';

export function fail(code: ErrorCode, received: string, expected: string): never {
  throw new BatchNormError(code, `received ${received}, expected ${expected}`);
}

// --- options -------------------------------------------------------------------------------------------------------

/** What an option may be, and how to say so. */
export type OptionCheck = readonly [isValid: (value: unknown) => boolean, expected: string];

export const isPositiveInteger = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
export const oneOf = (...values: readonly unknown[]): OptionCheck => [
  (value) => values.includes(value),
  values.map(describe).join(' or '),
];

/** Of a tensor, at most: a limit that nobody meets, so that what is made by axis is small. */
const mostAxes = 64;

/** Of a layer, at most: a vector of it has a gibibyte then, and it has half a dozen. */
const mostChannels = 2 ** 27;

/** What each option of a layer may be. */
export const layerOptionChecks: Readonly<Record<keyof LayerOptions, OptionCheck>> = {
  numFeatures: [isPositiveInteger, 'a whole number of at least 1'],
  epsilon: [(value) => Number.isFinite(value) && (value as number) >= 0, 'a finite number that is not negative'],
  momentum: [
    (value) => value === 'cumulative' || value === 'exact' || (typeof value === 'number' && value >= 0 && value <= 1),
    "a number from 0 to 1, 'cumulative' or 'exact'",
  ],
  axis: [
    (value) => Number.isSafeInteger(value) && (value as number) < mostAxes && (value as number) >= -mostAxes,
    `a whole number from ${-mostAxes} to ${mostAxes - 1}`,
  ],
  affine: oneOf(true, false),
  scale: oneOf(true, false),
  center: oneOf(true, false),
  trackRunningStatistics: oneOf(true, false),
  runningVariance: oneOf('population', 'sample'),
  dtype: oneOf('float32', 'float64'),
  singleValue: oneOf('allow', 'reject'),
  emptyBatch: oneOf('reject', 'pass'),
  checks: oneOf(true, false),
};

export function isBackend(value: unknown): value is Backend {
  const { contractVersion, prepare } = Object(value);
  return contractVersion === 1 && typeof prepare === 'function';
}

/**
 * Fills in the defaults of everything but the backend, for those who choose it by these options. Errors: `INVALID_OPTION` for a
 * value that its documentation does not allow, or a name that does not exist.
 */
export function resolveLayerOptions(options: LayerOptions): Readonly<Required<LayerOptions>> {
  return looking('INVALID_OPTION', 'options', () => resolved(options));
}

function resolved(options: LayerOptions): Readonly<Required<LayerOptions>> {
  assertOptionNames(options, Object.keys(layerOptionChecks));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const { affine, ...defaults } = { ...defaultOptions, ...(Object.fromEntries(given) as LayerOptions) };
  const all = { scale: affine, center: affine, affine, ...defaults };
  assertOptions(all, layerOptionChecks);
  return { ...all, affine: all.scale || all.center };
}

/**
 * The same with the backend. Errors: also `DTYPE_MISMATCH` for a dtype that the backend does not have, `LIMIT_EXCEEDED` for more
 * channels than it has elements.
 */
export function resolveOptions(options: BatchNormOptions): ResolvedOptions {
  const { backend, ...layerOptions } = looking('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['backend', ...Object.keys(layerOptionChecks)]);
    return { ...options };
  });
  assertOptions({ backend }, { backend: [isBackend, 'a backend of contractVersion 1'] });
  const resolved = { backend, ...resolveLayerOptions(layerOptions) };
  assertDtype(backend, resolved.dtype);
  const most = Math.min(backend.capabilities.limits.elements, mostChannels);
  if (resolved.numFeatures > most) {
    fail(
      'LIMIT_EXCEEDED',
      `numFeatures ${resolved.numFeatures}`,
      `at most ${most}, the limit of backend '${backend.name}'`,
    );
  }
  return Object.freeze(resolved);
}

/** Errors: `INVALID_OPTION` for the first of `values` that its check refuses. */
export function assertOptions(values: object, checks: Readonly<Record<string, OptionCheck>>): void {
  for (const [name, [isValid, expected]] of Object.entries(checks)) {
    const value = (values as Record<string, unknown>)[name];
    if (!isValid(value)) fail('INVALID_OPTION', `${name} ${describe(value)}`, expected);
  }
}

/** Errors: `DTYPE_MISMATCH` for a dtype that the backend does not have. */
export function assertDtype({ capabilities: { dtypes }, name }: Backend, dtype: Dtype): void {
  if (dtypes.includes(dtype)) return;
  fail('DTYPE_MISMATCH', `dtype '${dtype}'`, `${dtypes.join(' or ')}, which backend '${name}' has`);
}

/** Errors: `INVALID_OPTION` when `options` is no object, or has a name that is not among `names`. */
export function assertOptionNames(options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    fail('INVALID_OPTION', describe(options), 'an object of options');
  const unknown = Object.keys(options as object).find((name) => !names.includes(name));
  if (unknown !== undefined) fail('INVALID_OPTION', `an option '${unknown}'`, names.join(', '));
}

/** Errors: `INVALID_OPTION`. */
export function assertMomentum(value: unknown): asserts value is Momentum {
  assertOptions({ momentum: value }, { momentum: layerOptionChecks.momentum });
}

/** Errors: `INVALID_OPTION`. */
export function assertBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') fail('INVALID_OPTION', `${name} ${describe(value)}`, 'true or false');
}

// --- tensors -------------------------------------------------------------------------------------------------------

export function isDeviceTensor(tensor: Tensor | DeviceTensor): tensor is DeviceTensor {
  return !('data' in tensor);
}

/** Errors: `INVALID_TENSOR` unless `value` is a tensor whose data fill its shape; `DTYPE_MISMATCH` for other typed arrays. */
export function assertTensor(value: unknown, name = 'tensor'): asserts value is Tensor {
  const { data, shape } = Object(value) as Partial<Tensor>;
  if (!isFloatArray(data)) {
    const code = ArrayBuffer.isView(data) ? 'DTYPE_MISMATCH' : 'INVALID_TENSOR';
    fail(code, `${name} of ${describe(data ?? value)}`, '{ data: Float32Array or Float64Array, shape }');
  }
  assertShape(shape, name);
  if (data.length !== product(shape)) {
    fail('INVALID_TENSOR', `${name} of ${data.length} elements`, `${product(shape)} for shape ${describeShape(shape)}`);
  }
}

// By tag, not by `instanceof`: test runners and iframes hand over typed arrays of another realm.
const tagOf = (value: unknown): unknown => (ArrayBuffer.isView(value) ? Object(value)[Symbol.toStringTag] : undefined);

function isFloatArray(value: unknown): value is FloatArray {
  const tag = tagOf(value);
  return tag === 'Float32Array' || tag === 'Float64Array';
}

function assertShape(shape: unknown, name: string): asserts shape is readonly number[] {
  if (!isShape(shape)) {
    const received = Array.isArray(shape) ? describeShape(Array.from(shape)) : describe(shape);
    fail('INVALID_TENSOR', `${name} of shape ${received}`, 'an array of whole numbers that are not negative');
  }
  let elements = 1;
  for (const size of shape) if (size > 0) elements *= size;
  if (!Number.isSafeInteger(elements)) {
    fail(
      'INVALID_TENSOR',
      `${name} of shape ${describeShape(shape)}`,
      'sizes whose product is a safe integer, zeros aside',
    );
  }
}

function isShape(value: unknown): value is readonly number[] {
  if (!Array.isArray(value)) return false;
  // Not `every`, which passes over holes.
  for (let d = 0; d < value.length; d++) {
    if (!Number.isSafeInteger(value[d]) || value[d] < 0) return false;
  }
  return true;
}

/** Errors: `FOREIGN_TENSOR` for what only looks like a device tensor: a getter of its class does not know it. */
function isDisposed(tensor: DeviceTensor, name: string): boolean {
  try {
    return tensor.disposed;
  } catch {
    fail('FOREIGN_TENSOR', `${name}, an object that only looks like a device tensor`, 'one that a backend made');
  }
}

/** A tensor or device tensor of this dtype, in memory that `backend` can reach. */
function assertActivation(
  value: unknown,
  name: string,
  dtype: Dtype,
  backend: Backend,
): asserts value is Tensor | DeviceTensor {
  const tensor = Object(value) as Tensor | DeviceTensor;
  if (!('data' in tensor) && 'read' in tensor) {
    if (tensor.backend !== backend) {
      fail(
        'FOREIGN_TENSOR',
        `${name} of another backend ('${tensor.backend?.name}')`,
        `one that this '${backend.name}' made`,
      );
    }
    if (isDisposed(tensor as DeviceTensor, name))
      fail('DISPOSED', `${name}, a disposed device tensor`, 'one that is alive');
  } else {
    assertTensor(value, name);
  }
  const received = isDeviceTensor(tensor) ? tensor.dtype : dtypeOf(tensor.data);
  if (received !== dtype) fail('DTYPE_MISMATCH', `${name} of ${received}`, `${dtype}, as the layer has`);
}

/**
 * The extent of an input x. Errors: those of `assertTensor`; `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`;
 * `SHAPE_MISMATCH` (rank, channels), `EMPTY_BATCH`, `LIMIT_EXCEEDED`.
 */
export function validateInput(x: unknown, options: ResolvedOptions): Extent {
  const { dtype, backend } = options;
  return looking('INVALID_TENSOR', 'elements of a tensor x', () => {
    assertActivation(x, 'x', dtype, backend);
    const extent = validateInputShape(x.shape, options);
    assertWithinLimits(backend, x.shape);
    return extent;
  });
}

/** The extent of an input of this shape. Errors: `SHAPE_MISMATCH` (rank, channels), `EMPTY_BATCH` unless it may pass. */
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
    fail('SHAPE_MISMATCH', `x of shape ${describeShape(shape)}`, `rank 2 or more, with an axis ${axis} for channels`);
  }
  const extent = extentOf(shape, axis);
  if (extent.channels !== numFeatures) {
    fail(
      'SHAPE_MISMATCH',
      `x of shape ${describeShape(shape)} with ${extent.channels} channels on axis ${axis}`,
      `${numFeatures} channels, as numFeatures says`,
    );
  }
  if (emptyBatch === 'reject' && valuesPerChannel(extent) === 0) {
    fail('EMPTY_BATCH', `x of shape ${describeShape(shape)}`, 'at least one value per channel');
  }
  return extent;
}

/** Errors: `LIMIT_EXCEEDED` for more elements than the backend can hold. */
export function assertWithinLimits({ capabilities: { limits }, name }: Backend, shape: readonly number[]): void {
  if (product(shape) <= limits.elements) return;
  fail(
    'LIMIT_EXCEEDED',
    `x of ${product(shape)} elements`,
    `at most ${limits.elements}, the limit of backend '${name}'`,
  );
}

/** Errors: `SINGLE_VALUE` where batch statistics of one value per channel are refused. */
export function assertEnoughValues(
  extent: Extent,
  { singleValue, runningVariance }: Pick<ResolvedOptions, 'singleValue' | 'runningVariance'>,
): void {
  if (valuesPerChannel(extent) > 1) return;
  if (runningVariance === 'sample') {
    fail(
      'SINGLE_VALUE',
      '1 value per channel',
      "at least 2: the factor M/(M−1) of runningVariance 'sample' has no value",
    );
  }
  if (singleValue === 'reject') fail('SINGLE_VALUE', '1 value per channel', "at least 2, as singleValue 'reject' says");
}

/**
 * That `tensor` can stand beside `reference`: same dtype, backend, kind of memory and shape.
 * Errors: those of `validateInput`, and `INVALID_TENSOR` for the other kind of memory.
 */
export function assertLike(
  tensor: unknown,
  name: string,
  reference: Tensor | DeviceTensor,
  { dtype, backend }: ResolvedOptions,
): asserts tensor is Tensor | DeviceTensor {
  looking('INVALID_TENSOR', `elements of a tensor ${name}`, () =>
    assertLikeOne(tensor, name, reference, dtype, backend),
  );
}

function assertLikeOne(
  tensor: unknown,
  name: string,
  reference: Tensor | DeviceTensor,
  dtype: Dtype,
  backend: Backend,
): void {
  assertActivation(tensor, name, dtype, backend);
  if (isDeviceTensor(tensor) !== isDeviceTensor(reference)) {
    const memory = (t: Tensor | DeviceTensor) => (isDeviceTensor(t) ? 'on the device' : 'on the host');
    fail('INVALID_TENSOR', `${name} ${memory(tensor)}`, `one ${memory(reference)}, where x is`);
  }
  const { shape } = tensor;
  if (shape.length !== reference.shape.length || !shape.every((size, d) => size === reference.shape[d])) {
    fail(
      'SHAPE_MISMATCH',
      `${name} of shape ${describeShape(shape)}`,
      `${describeShape(reference.shape)}, the shape of x`,
    );
  }
}

/**
 * That `value` can receive a parameter's gradient: a Float64Array of `length`, or a device vector beside a device tensor x.
 * Errors: `INVALID_TENSOR`.
 */
export function assertVector(value: unknown, name: string, length: number, x: Tensor | DeviceTensor): void {
  if (isDeviceTensor(x)) {
    if (typeof Object(value).read !== 'function')
      fail('INVALID_TENSOR', `${name} ${describe(value)}`, 'a device vector');
  } else if (tagOf(value) !== 'Float64Array' || (value as Float64Array).length !== length) {
    fail('INVALID_TENSOR', `${name} ${describe(value)}`, `Float64Array(${length})`);
  }
}

// --- memory --------------------------------------------------------------------------------------------------------

/** Anything that occupies memory: a tensor or vector, on the host or on the device. */
type Region = Tensor | DeviceTensor | Float64Array | OnDevice<unknown>;

/** Whether two regions begin at the same place. */
export function sameMemory(a: Region, b: Region): boolean {
  const [viewA, viewB] = [viewOf(a), viewOf(b)];
  if (viewA === undefined || viewB === undefined) return a === b;
  return viewA.buffer === viewB.buffer && viewA.byteOffset === viewB.byteOffset;
}

/** Errors: `INVALID_TENSOR` when an output shares memory with another output or with an input. Absent regions are skipped. */
export function assertSeparate(
  outputs: Readonly<Record<string, Region | undefined>>,
  inputs: Readonly<Record<string, Region | undefined>>,
): void {
  for (const name in outputs) {
    for (const other in inputs) assertApart(name, outputs[name], other, inputs[other]);
    for (const other in outputs) {
      if (other === name) break;
      assertApart(other, outputs[other], name, outputs[name]);
    }
  }
}

function assertApart(name: string, output: Region | undefined, otherName: string, other: Region | undefined): void {
  if (output !== undefined && other !== undefined && overlap(output, other)) {
    fail('INVALID_TENSOR', `${name} that shares memory with ${otherName}`, 'separate buffers');
  }
}

function overlap(a: Region, b: Region): boolean {
  const [viewA, viewB] = [viewOf(a), viewOf(b)];
  if (viewA === undefined || viewB === undefined) return a === b;
  return (
    viewA.buffer === viewB.buffer &&
    viewA.byteOffset < viewB.byteOffset + viewB.byteLength &&
    viewB.byteOffset < viewA.byteOffset + viewA.byteLength
  );
}

/** The bytes of a region on the host; undefined on the device. */
function viewOf(region: Region): ArrayBufferView | undefined {
  if (ArrayBuffer.isView(region)) return region;
  return 'data' in region ? region.data : undefined;
}
