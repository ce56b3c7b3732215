// Arrays of NumPy, .npy (numpy.lib.format, versions 1 to 3). npyjs 1.2 leaves arrays of Fortran order as they are, makes
// float64 of integers, and takes a file whole.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource } from './byte-source.js';
import {
  bytesFrom,
  countOf,
  type Elements,
  type ElementType,
  elementSize,
  numpyTypes,
  readElements,
} from './element-types.js';
import { assertTensor, type FileTensor, readableInfo, type TensorFile, type TensorInfo } from './tensor-file.js';

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** In bytes. NumPy itself refuses more than 10,000. */
const longestHeader = 65_536;

/** An array whose elements have not been read. */
interface StoredArray extends TensorInfo {
  readonly isLittleEndian: boolean;
  /** Whether the first axis is the one whose elements lie side by side. */
  readonly isFortran: boolean;
  /** Where its elements begin. */
  readonly start: number;
}

/**
 * Opens a .npy file; its header is read. Its array is called 'arr_0', as `numpy.savez` calls one without a name. Errors:
 * `INVALID_FILE`, those of the source.
 */
export async function openNpy(source: FileSource): Promise<TensorFile> {
  const bytes = await bytesOf(source);
  const tensors = new Map([['arr_0', await storedArray(bytes, 'the array')]]);
  return {
    format: 'npy',
    tensors,
    read: async (name) => readArray(bytes, readableInfo(tensors, name)),
  };
}

/** What the header of an array says, and where its elements are. Errors: `INVALID_FILE`. */
export async function storedArray(bytes: ByteSource, what: string): Promise<StoredArray> {
  const first = await bytes.read(0, 10);
  if (magic.some((byte, k) => first[k] !== byte)) refuse('INVALID_FILE', `${what} without the magic string`, '.npy');
  const version = first[6]!;
  if (version < 1 || version > 3) refuse('INVALID_FILE', `${what} of version ${version}`, '1, 2 or 3');
  const prefix = version === 1 ? 10 : 12;
  const view = new DataView((await bytes.read(0, prefix)).slice().buffer);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > longestHeader) refuse('INVALID_FILE', `a header of ${length} bytes`, `at most ${longestHeader}`);
  const text = new TextDecoder().decode(await bytes.read(prefix, length));
  const { descr, isFortran, shape } = readHeader(text);
  const start = prefix + length;
  const dtype = numpyTypes.get(descr.slice(1)) ?? descr;
  const count = countOf(shape, what);
  const size = numpyTypes.has(descr.slice(1)) ? count * elementSize(dtype as ElementType) : undefined;
  if (size !== undefined && bytes.size - start !== size) {
    refuse('INVALID_FILE', `${bytes.size - start} bytes of ${what}`, `${size}, as its header says`);
  }
  return { dtype, shape, isFortran, isLittleEndian: !descr.startsWith('>'), start };
}

/** A literal of a Python dict with three keys, in any order. */
function readHeader(text: string): { descr: string; isFortran: boolean; shape: number[] } {
  const descr = /'descr':\s*'([<>|=][a-zA-Z]\d{1,3})'/.exec(text)?.[1];
  const fortran = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(((?:\s*\d{1,16}\s*,)*(?:\s*\d{1,16}\s*)?)\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    refuse('INVALID_FILE', `header ${describe(text.trim())}`, "{ 'descr', 'fortran_order', 'shape' } of plain numbers");
  }
  return {
    descr,
    isFortran: fortran === 'True',
    shape: shape
      .split(',')
      .filter((size) => size.trim() !== '')
      .map(Number),
  };
}

/** The elements of an array, row-major whatever its order. */
export async function readArray(
  bytes: ByteSource,
  { dtype, shape, isFortran, isLittleEndian, start }: StoredArray & { readonly dtype: ElementType },
): Promise<FileTensor> {
  const size = bytes.size - start;
  const elements = await readElements(dtype, 'the array', size, () => bytes.read(start, size), isLittleEndian);
  return { dtype, shape, data: isFortran ? rowMajor(elements, shape) : elements };
}

/** Elements of which those of the first axis lie side by side, so that those of the last one do. */
function rowMajor(elements: Elements, shape: readonly number[]): Elements {
  const result = elements.slice();
  const index = shape.map(() => 0);
  const strides: number[] = [];
  shape.reduce((stride, size, axis) => {
    strides[axis] = stride;
    return stride * size;
  }, 1);
  let from = 0;
  for (let k = 0; k < result.length; k++) {
    (result as Float64Array)[k] = elements[from] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

/** The bytes of a .npy file of version 1. Errors: `INVALID_TENSOR`, `UNSUPPORTED` for BF16, which NumPy lacks. */
export function writeNpy(tensor: FileTensor): Uint8Array {
  assertTensor('the array', tensor);
  const { dtype, shape, data } = tensor;
  const type = [...numpyTypes].find(([, name]) => name === dtype)?.[0];
  if (type === undefined)
    refuse('UNSUPPORTED', `elements ${describe(dtype)}`, `${[...numpyTypes.values()].join(', ')} in .npy`);
  const order = elementSize(dtype) === 1 ? '|' : '<';
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '${order}${type}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // The elements begin at a multiple of 64.
  const start = Math.ceil((10 + header.length + 1) / 64) * 64;
  const bytes = bytesFrom(dtype, data);
  const file = new Uint8Array(start + bytes.length).fill(0x20, 10, start);
  file.set([...magic, 1, 0]);
  new DataView(file.buffer).setUint16(8, start - 10, true);
  file.set(new TextEncoder().encode(header), 10);
  file[start - 1] = 0x0a;
  file.set(bytes, start);
  return file;
}
