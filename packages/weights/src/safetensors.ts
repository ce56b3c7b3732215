// Files of safetensors (https://github.com/huggingface/safetensors): a length, a header of JSON, and the bytes of the
// tensors. No npm library reads the elements.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource } from './byte-source.js';
import { bytesFrom, countOf, elementSize, isElementType, readElements } from './element-types.js';
import { fieldsOf, parseJson } from './json.js';
import {
  assertNames,
  assertTensor,
  type FileTensor,
  isText,
  namedTensors,
  readableInfo,
  type TensorFile,
  type TensorInfo,
} from './tensor-file.js';

/** In bytes, as in the reference implementation. */
const longestHeader = 100_000_000;

/** In bytes, of one in memory. */
const longestFile = 2 ** 32;

interface StoredTensor extends TensorInfo {
  /** Where its bytes are, from the first after the header: from begin to before end. */
  readonly begin: number;
  readonly end: number;
}

/** A file of safetensors. */
export interface SafetensorsFile extends TensorFile {
  /** Texts that whoever wrote the file has put there, such as `format`: 'pt'. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Opens a file of safetensors; its header is read. Errors: `INVALID_FILE` for a header that is none, or tensors that
 * overlap, leave gaps or end anywhere but at the end of the file; those of the source. Reading a tensor of more than 4 GiB
 * is `LIMIT_EXCEEDED`.
 */
export async function openSafetensors(source: FileSource): Promise<SafetensorsFile> {
  const bytes = await bytesOf(source);
  const length = Number(new DataView((await bytes.read(0, 8)).slice().buffer).getBigUint64(0, true));
  if (length > longestHeader) refuse('INVALID_FILE', `a header of ${length} bytes`, `at most ${longestHeader}`);
  const header = fieldsOf(parseJson(await bytes.read(8, length), 'the header'), 'the header');
  const start = 8 + length;
  const stored = storedTensors(header, bytes.size - start);
  return {
    format: 'safetensors',
    metadata: metadataOf(header),
    tensors: stored,
    read: (name) => readTensor(bytes, start, stored, name),
  };
}

async function readTensor(
  bytes: ByteSource,
  start: number,
  stored: ReadonlyMap<string, StoredTensor>,
  name: string,
): Promise<FileTensor> {
  const { dtype, shape, begin, end } = readableInfo(stored, name);
  const size = end - begin;
  const data = await readElements(dtype, describe(name), size, () => bytes.read(start + begin, size));
  return { dtype, shape, data };
}

function metadataOf(header: ReadonlyMap<string, unknown>): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (!header.has('__metadata__')) return metadata;
  for (const [key, text] of fieldsOf(header.get('__metadata__'), '__metadata__')) {
    if (typeof text !== 'string') refuse('INVALID_FILE', `__metadata__.${key} ${describe(text)}`, 'a string');
    metadata.set(key, text);
  }
  return metadata;
}

/** Errors: `INVALID_FILE` unless the tensors fill `size` bytes, one after the other. */
function storedTensors(header: ReadonlyMap<string, unknown>, size: number): ReadonlyMap<string, StoredTensor> {
  const stored = new Map<string, StoredTensor>();
  for (const [name, value] of header) if (name !== '__metadata__') stored.set(name, storedTensor(name, value));
  let position = 0;
  for (const [name, { begin, end }] of [...stored].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== position)
      refuse('INVALID_FILE', `${describe(name)} from byte ${begin} on`, `${position}: no gap, no overlap`);
    position = end;
  }
  if (position !== size) refuse('INVALID_FILE', `${size} bytes of tensors`, `${position}, as the header says`);
  return stored;
}

function storedTensor(name: string, value: unknown): StoredTensor {
  const fields = fieldsOf(value, describe(name));
  const [dtype, shape, offsets] = [fields.get('dtype'), fields.get('shape'), fields.get('data_offsets')];
  if (typeof dtype !== 'string') refuse('INVALID_FILE', `dtype ${describe(dtype)} of ${describe(name)}`, 'a string');
  const count = countOf(shape, describe(name));
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin <= end)) {
    refuse(
      'INVALID_FILE',
      `data_offsets ${describe(offsets)} of ${describe(name)}`,
      'two, of which none is before the other',
    );
  }
  if (isElementType(dtype) && count * elementSize(dtype) !== end - begin) {
    const expected = `${count * elementSize(dtype)} for ${dtype} of shape [${shape}]`;
    refuse('INVALID_FILE', `${end - begin} bytes of ${describe(name)}`, expected);
  }
  return { dtype, shape: shape as number[], begin, end };
}

/**
 * The bytes of a file of safetensors. Errors: `INVALID_TENSOR` where dtype, shape and data do not agree, as `Elements` says,
 * `INVALID_OPTION` for the name `__metadata__`, lone surrogates, or metadata that are no texts; `LIMIT_EXCEEDED` for more
 * than 4 GiB.
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, FileTensor>> | ReadonlyMap<string, FileTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const given = new Map(namedTensors(tensors));
  assertOptions(given, metadata);
  for (const [name, tensor] of given) assertTensor(name, tensor);
  const { header, order, size } = layOut(given, metadata);
  if (header.length + size > longestFile)
    refuse(
      'LIMIT_EXCEEDED',
      `a file of ${header.length + size} bytes`,
      '4 GiB at most: `safetensorsParts` writes longer ones',
    );
  const file = new Uint8Array(header.length + size);
  file.set(header);
  let at = header.length;
  for (const name of order) {
    const { dtype, data } = given.get(name)!;
    const bytes = bytesFrom(dtype, data);
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

/**
 * The same in parts, one tensor after the other, for files that memory does not hold: `read` is asked for each when it is
 * its turn. Errors: those of `writeSafetensors` and of `read`, and `UNSUPPORTED` for elements that are not read.
 */
export async function* safetensorsParts(
  tensors: ReadonlyMap<string, TensorInfo>,
  read: (name: string) => Promise<FileTensor>,
  metadata: Readonly<Record<string, string>> = {},
): AsyncGenerator<Uint8Array> {
  assertOptions(tensors, metadata);
  const { header, order } = layOut(tensors, metadata);
  yield header;
  for (const name of order) {
    const { dtype, shape } = readableInfo(tensors, name);
    const { data } = await read(name);
    assertTensor(name, { dtype, shape, data });
    yield bytesFrom(dtype, data);
  }
}

function assertOptions(tensors: ReadonlyMap<string, unknown>, metadata: unknown): void {
  if (typeof Object(tensors).has !== 'function')
    refuse('INVALID_OPTION', `tensors ${describe(tensors)}`, 'a map of them');
  assertNames(tensors.keys());
  if (tensors.has('__metadata__'))
    refuse('INVALID_OPTION', "a tensor '__metadata__'", 'another name: this one is taken');
  const areTexts = Object.entries(Object(metadata)).flat().every(isText);
  if (typeof metadata !== 'object' || !areTexts || metadata === null)
    refuse('INVALID_OPTION', `metadata ${describe(metadata)}`, 'an object of strings without lone surrogates');
}

/**
 * The length and the header of a file, and the order of its tensors: those of larger elements come first, so that all are
 * aligned, and then by name, as the reference implementation writes them.
 */
function layOut(
  tensors: ReadonlyMap<string, TensorInfo>,
  metadata: Readonly<Record<string, string>>,
): { header: Uint8Array; order: string[]; size: number } {
  const elements = (name: string) => elementSize(readableInfo(tensors, name).dtype);
  const order = [...tensors.keys()].sort((a, b) => elements(b) - elements(a) || (a < b ? -1 : 1));
  const fields: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  let size = 0;
  for (const name of order) {
    const { dtype, shape } = tensors.get(name)!;
    const end = size + countOf(shape, describe(name)) * elements(name);
    fields.push([name, { dtype, shape, data_offsets: [size, end] }]);
    size = end;
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(fields)));
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return { header, order, size };
}
