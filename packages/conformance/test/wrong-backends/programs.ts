// What the programs that show a backend wrong are written with: seeded tensors, layers, steps, and a comparison of what
// they see.
import {
  allocate,
  type Backend,
  BatchNorm,
  BatchNormError,
  type BatchNormOptions,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type FloatArray,
  product,
  type Tensor,
} from '@batchnorm/core-api';

/** Uniform in [−2, 2), by a linear congruential generator. */
export function tensor(shape: readonly number[], seed = 1, dtype: Dtype = 'float32'): Tensor {
  return { data: scatter(allocate(dtype, product(shape)), seed), shape };
}

export function scatter<A extends FloatArray>(data: A, seed = 1): A {
  let state = seed * 2654435761;
  for (let k = 0; k < data.length; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[k] = state / 2 ** 30;
  }
  return data;
}

/** The same elements in the middle of a larger buffer, all else of which is 7, and all of that buffer. */
export function embedded(source: Tensor, offset = 5, after = 9): { tensor: Tensor; around: FloatArray } {
  const { length } = source.data;
  const around = allocate(dtypeOf(source.data), offset + length + after).fill(7);
  const data = around.subarray(offset, offset + length);
  data.set(source.data);
  return { tensor: { data, shape: source.shape }, around };
}

/** A tensor of `shape` whose elements are 7: what a buffer for results held before. */
export function buffer(shape: readonly number[], dtype: Dtype = 'float32'): Tensor {
  return { data: allocate(dtype, product(shape)).fill(7), shape };
}

/** A layer whose gamma and beta differ from channel to channel. */
export function layerOf(backend: Backend, numFeatures: number, options: Partial<BatchNormOptions> = {}): BatchNorm {
  const layer = new BatchNorm({ backend, numFeatures, ...options });
  layer.gamma.set(scatter(new Float64Array(layer.gamma.length), 11).map((value) => value + 3));
  layer.beta.set(scatter(new Float64Array(layer.beta.length), 12));
  return layer;
}

/** A copy of what is on the device, or of an array. */
export async function copyOf(value: { read(): unknown } | FloatArray): Promise<unknown> {
  return ArrayBuffer.isView(value) ? value.slice() : value.read();
}

/** Copies of y and of the gradients of one training step in host memory. */
export async function step(
  layer: BatchNorm,
  x: Tensor,
  dy: Tensor = tensor(x.shape, 99, layer.options.dtype),
): Promise<unknown> {
  const y = (await layer.forward(x)).data.slice();
  const { dx, dgamma, dbeta } = await layer.backward(dy);
  return { y, dx: dx.data.slice(), dgamma: dgamma.slice(), dbeta: dbeta.slice() };
}

/** The same with tensors on the device, which are disposed at the end. */
export async function deviceStep(layer: BatchNorm, x: Tensor): Promise<unknown> {
  const { backend, dtype } = layer.options;
  const [input, dy] = [await backend.upload(x), await backend.upload(tensor(x.shape, 99, dtype))];
  const y = await layer.forward(input);
  const gradients = await layer.backward(dy);
  const seen = [];
  for (const value of [y, gradients.dx, gradients.dgamma, gradients.dbeta]) {
    seen.push(await value.read());
    value.dispose();
  }
  for (const value of [input, dy]) value.dispose();
  return seen;
}

/** The code that a call fails with; 'no code' for another error, 'no error' where there was none. */
export async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    return error instanceof BatchNormError ? error.code : 'no code';
  }
  return 'no error';
}

export const running = (layer: BatchNorm): unknown => [layer.runningMean.slice(), layer.runningVariance.slice()];

export const read = (...values: readonly { read(): unknown }[]): Promise<unknown[]> =>
  Promise.all(values.map((value) => value.read()));

export const upload = (backend: Backend, ...tensors: readonly Tensor[]): Promise<DeviceTensor[]> =>
  Promise.all(tensors.map((one) => backend.upload(one)));

/** Whether more than 2 MB more are held after `count` times `repeated`. */
export async function leaks(count: number, repeated: () => Promise<unknown>): Promise<boolean> {
  for (let n = 0; n < 20; n++) await repeated();
  const before = await megabytesHeld();
  for (let n = 0; n < count; n++) await repeated();
  return (await megabytesHeld()) - before > 2;
}

async function megabytesHeld(): Promise<number> {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let turn = 0; turn < 4; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

/** Where two observations differ by more than `tolerance`, or undefined. */
export function difference(a: unknown, b: unknown, tolerance: number, path = 'seen'): string | undefined {
  const named = (value: unknown) => (typeof value === 'object' ? Object.prototype.toString.call(value) : String(value));
  const differ = `${path}: ${named(a)}, expected ${named(b)}`;
  if (typeof a === 'number' && typeof b === 'number') {
    if (Object.is(a, b)) return undefined;
    return Number.isFinite(b) && Math.abs(a - b) <= tolerance * (1 + Math.abs(b)) ? undefined : differ;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b ? undefined : differ;
  if (ArrayBuffer.isView(a) && Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return differ;
  if (isList(a) && isList(b)) {
    if (a.length !== b.length) return `${path} has ${a.length} elements, expected ${b.length}`;
    for (let k = 0; k < a.length; k++) {
      const found = difference(a[k], b[k], tolerance, path);
      if (found !== undefined) return `[${k}] of ${found}`;
    }
    return undefined;
  }
  for (const key of Object.keys({ ...a, ...b })) {
    const found = difference((a as never)[key], (b as never)[key], tolerance, `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isList = (value: object): value is ArrayLike<unknown> => Array.isArray(value) || ArrayBuffer.isView(value);
