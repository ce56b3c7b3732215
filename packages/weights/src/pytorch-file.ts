// Files of torch.save, .pt and .pth, since PyTorch 1.6: an archive of a pickle and of the elements of each storage.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource } from './byte-source.js';
import { countOf, type Elements, type ElementType, elementSize, readElements } from './element-types.js';
import { PickleGlobal, type PickleValue, readPickle, refusePickle, savedStateDict, visitLeaves } from './pickle.js';
import { type FileTensor, readableInfo, setOnce, type TensorFile, type TensorInfo } from './tensor-file.js';
import { bytesOfEntry, openZip, type ZipArchive } from './zip.js';

/** The elements of a storage, of which a tensor shows some. */
class Storage {
  readonly dtype: ElementType;
  readonly key: string;
  /** How many elements it has. */
  readonly length: number;

  constructor(dtype: ElementType, key: string, length: number) {
    this.dtype = dtype;
    this.key = key;
    this.length = length;
  }
}

/** A view of a storage: element [i, j, …] is its element offset + i · strides[0] + j · strides[1] + …. */
class StoredTensor implements TensorInfo {
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }

  get dtype(): ElementType {
    return this.storage.dtype;
  }

  /** How many elements of the storage there are from its first to its last. */
  get span(): number {
    if (this.shape.includes(0)) return 0;
    return this.shape.reduce((last, size, axis) => last + (size - 1) * this.strides[axis]!, 1);
  }
}

/** Of all names together, in characters. */
const longestNames = 2 ** 26;

const storageTypes: ReadonlyMap<string, ElementType> = new Map([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
]);

/** What a pickle may call; what the calls would give is made here. */
const calls: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  'collections.OrderedDict': (args) => {
    if (args.length > 0) refusePickle('an OrderedDict of arguments');
    return new Map();
  },
  'torch._utils._rebuild_tensor_v2': ([storage, offset, shape, strides]) => {
    if (!(storage instanceof Storage)) refusePickle('a tensor without a storage');
    return storedTensor(storage, offset, shape, strides);
  },
  'torch._utils._rebuild_parameter': ([tensor]) => {
    if (!(tensor instanceof StoredTensor)) refusePickle('a parameter that is no tensor');
    return tensor;
  },
};

/**
 * Opens a file of torch.save: a state dict, or dicts and lists that have tensors in them, whose names are then paths:
 * 'state_dict.bn1.weight'. Its pickle is read as data; nothing of it is executed.
 *
 * Errors: `UNSUPPORTED` for what holds more than tensors in dicts and lists, such as a whole model, which the error
 * names, and for files of PyTorch before 1.6; `LIMIT_EXCEEDED` for names that are too long, as in docs/weights.md;
 * `INVALID_FILE`, also for two tensors whose paths are the same name; those of the source.
 */
export async function openPyTorch(source: FileSource): Promise<TensorFile> {
  const bytes = await bytesOf(source);
  await assertArchive(bytes);
  const archive = await openZip(bytes);
  const pickle = [...archive.keys()].find((name) => name === 'data.pkl' || /^[^/]+\/data\.pkl$/.test(name));
  if (pickle === undefined) refuse('INVALID_FILE', 'an archive without data.pkl', 'what torch.save writes');
  const folder = pickle.slice(0, -'data.pkl'.length);
  if (archive.has(`${folder}constants.pkl`)) refuse('UNSUPPORTED', 'a model of TorchScript', savedStateDict);
  const value = readPickle(await wholeEntry(bytes, archive, pickle), { call, load });
  const tensors = new Map<string, StoredTensor>();
  let characters = 0;
  visitLeaves(value, (path, leaf) => {
    if (!(leaf instanceof StoredTensor)) return;
    characters += path.length;
    if (characters > longestNames)
      refuse('LIMIT_EXCEEDED', 'names of tensors without an end', `${longestNames} characters`);
    // The keys 1 and '1', or 'a.b' and 'b' within 'a'.
    setOnce(tensors, path === '' ? 'tensor' : path, leaf);
  });
  const isLittleEndian = !archive.has(`${folder}byteorder`) || (await byteOrder(bytes, archive, folder)) === 'little';
  return {
    format: 'PyTorch',
    tensors,
    read: (name) => readTensor(bytes, archive, folder, readable(tensors, name), isLittleEndian),
  };
}

function readable(tensors: ReadonlyMap<string, StoredTensor>, name: string): StoredTensor {
  readableInfo(tensors, name);
  return tensors.get(name)!;
}

async function assertArchive(bytes: ByteSource): Promise<void> {
  const first = await bytes.read(0, Math.min(2, bytes.size));
  if (first[0] === 0x80 || first[0] === 0x50) {
    if (first[0] === 0x80) {
      const expected = 'an archive: load and save it again with PyTorch 1.6 or newer';
      refuse('UNSUPPORTED', 'a pickle that is no archive, as of PyTorch before 1.6', expected);
    }
    return;
  }
  refuse('INVALID_FILE', 'a file that is no archive', 'what torch.save writes');
}

async function wholeEntry(bytes: ByteSource, archive: ZipArchive, name: string): Promise<Uint8Array> {
  const entry = archive.get(name);
  if (entry === undefined) refuse('INVALID_FILE', `an archive without '${name}'`, 'what torch.save writes');
  const content = await bytesOfEntry(bytes, entry);
  return content.read(0, content.size);
}

async function byteOrder(bytes: ByteSource, archive: ZipArchive, folder: string): Promise<string> {
  const order = new TextDecoder().decode(await wholeEntry(bytes, archive, `${folder}byteorder`));
  if (order !== 'little' && order !== 'big') refuse('INVALID_FILE', `byte order ${describe(order)}`, 'little or big');
  return order;
}

function call(callee: string, args: readonly PickleValue[]): PickleValue {
  const known = Object.hasOwn(calls, callee) ? calls[callee] : undefined;
  if (known === undefined)
    refuse('UNSUPPORTED', `a pickle that calls ${describe(callee)}`, 'tensors in dicts and lists');
  return known(args);
}

/** ('storage', class, key, device, number of elements) */
function load(id: PickleValue): PickleValue {
  const [kind, type, key, , length] = Array.isArray(id) ? id : [];
  if (kind !== 'storage' || !(type instanceof PickleGlobal) || typeof key !== 'string' || !isSize(length)) {
    refusePickle('a reference to what is no storage');
  }
  const dtype = storageTypes.get(type.name);
  if (dtype === undefined) refuse('UNSUPPORTED', `elements of ${describe(type.name)}`, 'floats or integers');
  return new Storage(dtype, key, length);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Errors: `INVALID_FILE` for a view that is not within its storage, or shows more elements than it has. */
function storedTensor(
  storage: Storage,
  offset: PickleValue | undefined,
  shape: unknown,
  strides: unknown,
): StoredTensor {
  const count = countOf(shape, 'a tensor');
  const sizes = shape as number[];
  if (!isSize(offset) || !Array.isArray(strides) || strides.length !== sizes.length || !strides.every(isSize)) {
    refusePickle('a tensor without offset and strides');
  }
  const tensor = new StoredTensor(storage, offset, sizes, strides);
  if (offset + tensor.span > storage.length || count > storage.length) {
    refusePickle(`a tensor of shape [${sizes}] and strides [${strides}] at ${offset} of ${storage.length} elements`);
  }
  return tensor;
}

async function readTensor(
  bytes: ByteSource,
  archive: ZipArchive,
  folder: string,
  { storage, offset, shape, strides, span }: StoredTensor,
  isLittleEndian: boolean,
): Promise<FileTensor> {
  const { dtype, key } = storage;
  const entry = archive.get(`${folder}data/${key}`);
  if (entry === undefined)
    refuse('INVALID_FILE', `an archive without storage ${describe(key)}`, 'what torch.save writes');
  const size = elementSize(dtype);
  const content = await bytesOfEntry(bytes, entry);
  const read = () => content.read(offset * size, span * size);
  const elements = await readElements(dtype, `storage ${describe(key)}`, span * size, read, isLittleEndian);
  return { dtype, shape, data: contiguous(elements, shape, strides) };
}

/** The elements of a view, row-major. */
function contiguous(elements: Elements, shape: readonly number[], strides: readonly number[]): Elements {
  const count = shape.reduce((product, size) => product * size, 1);
  let expected = 1;
  const isContiguous = shape.every((_, k) => {
    const axis = shape.length - 1 - k;
    const fits = shape[axis] === 1 || strides[axis] === expected;
    expected *= shape[axis]!;
    return fits;
  });
  if (isContiguous) return elements;
  const result = new (elements.constructor as new (length: number) => Elements)(count);
  for (let k = 0; k < count; k++) {
    let [rest, from] = [k, 0];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]!) * strides[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    (result as Float64Array)[k] = elements[from] as number;
  }
  return result;
}
