// What a file of tensors is, whatever its format: names, types and shapes at once, elements on demand.
import { describe, refuse } from '@batchnorm/core-api';
import { type Elements, type ElementType, isElementType, isShape } from './element-types.js';

/** What a file says of a tensor. */
export interface TensorInfo {
  /** As in safetensors; another name is of a type that is not read, such as 'F8_E4M3'. */
  readonly dtype: ElementType | (string & {});
  readonly shape: readonly number[];
}

/** A tensor with its elements, row-major and contiguous. */
export interface FileTensor {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  readonly data: Elements;
}

/** A format that is read. */
export type FileFormat = 'safetensors' | 'npy' | 'npz' | 'PyTorch' | 'ONNX' | 'tfjs' | 'Keras';

/** An open file. Its elements have not been read. */
export interface TensorFile {
  readonly format: FileFormat;
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The configs of its batch norms by their names, where the file holds them, as those of Keras do. */
  readonly layerConfigs?: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /**
   * Reads the elements of one tensor, and no others. Errors: `INVALID_OPTION` for a name that the file does not have,
   * `UNSUPPORTED` for elements that are not read, `INVALID_FILE`, and those of the source.
   */
  read(name: string): Promise<FileTensor>;
}

/** What the file says of a tensor whose elements can be read. Errors: `INVALID_OPTION`, `UNSUPPORTED`. */
export function readableInfo<Info extends TensorInfo>(
  tensors: ReadonlyMap<string, Info>,
  name: string,
): Info & { readonly dtype: ElementType } {
  const info = tensors.get(name);
  if (info === undefined)
    refuse('INVALID_OPTION', `a tensor ${describe(name)}`, `one of the ${tensors.size} in the file`);
  const { dtype } = info;
  if (!isElementType(dtype))
    refuse('UNSUPPORTED', `elements ${describe(dtype)} of ${describe(name)}`, 'floats or integers');
  return { ...info, dtype };
}

/** Errors: `INVALID_TENSOR` for what is no tensor, or one whose data and shape do not agree. */
export function assertTensor(name: string, tensor: unknown): asserts tensor is FileTensor {
  const { dtype, shape, data } = Object(tensor) as Readonly<Record<string, unknown>>;
  if (!isElementType(dtype) || !isShape(shape) || !ArrayBuffer.isView(data) || data instanceof DataView) {
    refuse('INVALID_TENSOR', `${describe(name)}: ${describe(tensor)}`, '{ dtype, shape, data } with a typed array');
  }
  const { length } = data as Elements;
  const count = shape.reduce((product, size) => product * size, 1);
  if (count === length) return;
  refuse('INVALID_TENSOR', `${length} elements of ${describe(name)}`, `${count}, as shape [${shape}] has`);
}

/** Errors: `INVALID_FILE` for a name that is there already: one of two tensors would be lost. */
export function setOnce<Value>(tensors: Map<string, Value>, name: string, value: Value): void {
  if (tensors.has(name)) refuse('INVALID_FILE', `two tensors ${describe(name)}`, 'one');
  tensors.set(name, value);
}

/** Half of a character of UTF-16, which UTF-8 has no bytes for: it would be written as U+FFFD. */
const loneSurrogate = /\p{Surrogate}/u;

/** Whether it comes back as it was from a file of UTF-8. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && !loneSurrogate.test(value);
}

/** Errors: `INVALID_OPTION` for a name that no file can hold. */
export function assertNames(names: Iterable<unknown>): void {
  for (const name of names)
    if (!isText(name)) refuse('INVALID_OPTION', `name ${describe(name)} of a tensor`, 'text without lone surrogates');
}

/** Tensors to write, by their names. Errors: `INVALID_OPTION` for what has none, or a name that no file can hold. */
export function namedTensors(
  tensors: Readonly<Record<string, FileTensor>> | ReadonlyMap<string, FileTensor>,
): readonly (readonly [name: string, tensor: FileTensor])[] {
  if (typeof tensors !== 'object' || tensors === null || ArrayBuffer.isView(tensors))
    refuse('INVALID_OPTION', `tensors ${describe(tensors)}`, 'an object or a map of them');
  const entries = [...(tensors instanceof Map ? tensors : Object.entries(tensors))] as [string, FileTensor][];
  assertNames(entries.map(([name]) => name));
  return entries;
}
