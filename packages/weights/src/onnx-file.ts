// Models of ONNX: their initialisers, and the nodes of BatchNormalization among them. Numbers of fields are those of
// onnx.proto3.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource, readAhead } from './byte-source.js';
import { bytesFrom, countOf, type ElementType, elementSize, elementsOf, readElements } from './element-types.js';
import type { OnnxAttributes } from './onnx.js';
import { type Field, fieldsIn, floatOf, textOf, varintsIn } from './protobuf.js';
import { type FileTensor, readableInfo, setOnce, type TensorFile, type TensorInfo } from './tensor-file.js';

/** A node of BatchNormalization. */
export interface OnnxNode {
  /** Its name, or that of its output where it has none. */
  readonly name: string;
  /** The names of its inputs: X, scale, B, input_mean, input_var. */
  readonly inputs: readonly string[];
  /** Those that it leaves out have the defaults of the operator. */
  readonly attributes: OnnxAttributes;
}

/** A model of ONNX. */
export interface OnnxFile extends TensorFile {
  /**
   * In the order of the graph. None in most models that were exported for inference: exporters fold a batch norm into the
   * convolution before it.
   */
  readonly batchNorms: readonly OnnxNode[];
}

/** How an ONNX file is opened. */
export interface OnnxFileOptions {
  /** Gives a file of external data, by its name, which is one without a folder. Without it, such tensors are not read. */
  readonly open?: (name: string) => FileSource | Promise<FileSource>;
}

/** Elements in a field of TensorProto. */
interface StoredTensor extends TensorInfo {
  /** Where the elements are: raw bytes, packed numbers, or bytes of another file. */
  readonly parts: readonly Field[];
  readonly isRaw: boolean;
  readonly external: ReadonlyMap<string, string> | undefined;
}

/** By the number of TensorProto.DataType. */
const types: ReadonlyMap<number, ElementType> = new Map([
  ...([
    [1, 'F32'],
    [2, 'U8'],
    [3, 'I8'],
    [4, 'U16'],
    [5, 'I16'],
    [6, 'I32'],
    [7, 'I64'],
  ] as const),
  ...([
    [9, 'BOOL'],
    [10, 'F16'],
    [11, 'F64'],
    [12, 'U32'],
    [13, 'U64'],
    [16, 'BF16'],
  ] as const),
]);

/** The defaults of the operator, which a node that leaves them out has: float32, as all attributes. */
const defaults: OnnxAttributes = { epsilon: Math.fround(1e-5), momentum: Math.fround(0.9) };

const isNumber: ReadonlySet<number> = new Set([4, 5, 7, 10, 11]);

/**
 * Opens a model of ONNX; its graph is read, its initialisers are not. Graphs within nodes (If, Loop) are not looked at.
 * Errors: `INVALID_FILE`, those of the source.
 */
export async function openOnnx(source: FileSource, options: OnnxFileOptions = {}): Promise<OnnxFile> {
  const { open } = Object(options) as OnnxFileOptions;
  const bytes = readAhead(await bytesOf(source));
  const tensors = new Map<string, StoredTensor>();
  const batchNorms: OnnxNode[] = [];
  const same = new Map<string, string>();
  let graphs = 0;
  for await (const field of fieldsIn(bytes, 0, bytes.size)) {
    if (field.number !== 7) continue;
    graphs++;
    for await (const part of fieldsIn(bytes, field.start, field.length)) {
      if (part.number === 1) await readNode(bytes, part, tensors, batchNorms, same);
      if (part.number === 5) await readInitializer(bytes, part, tensors);
    }
  }
  if (graphs !== 1) refuse('INVALID_FILE', `${graphs} graphs`, 'a model of ONNX, which has one');
  return {
    format: 'ONNX',
    tensors,
    batchNorms: batchNorms.map((node) => ({ ...node, inputs: node.inputs.map((name) => originOf(name, same)) })),
    read: (name) => readTensor(bytes, tensors, name, open),
  };
}

/** Behind Identity, by which exporters let nodes share an initialiser. */
function originOf(name: string, same: ReadonlyMap<string, string>): string {
  let origin = name;
  for (let steps = 0; same.has(origin) && steps < same.size; steps++) origin = same.get(origin)!;
  return origin;
}

async function readNode(
  bytes: ByteSource,
  { start, length }: Field,
  tensors: Map<string, StoredTensor>,
  batchNorms: OnnxNode[],
  same: Map<string, string>,
): Promise<void> {
  const [inputs, outputs, attributes]: [string[], string[], Field[]] = [[], [], []];
  let [name, operator, domain] = ['', '', ''];
  for await (const field of fieldsIn(bytes, start, length)) {
    if (field.number === 1) inputs.push(await textOf(bytes, field));
    if (field.number === 2) outputs.push(await textOf(bytes, field));
    if (field.number === 3) name = await textOf(bytes, field);
    if (field.number === 4) operator = await textOf(bytes, field);
    if (field.number === 5) attributes.push(field);
    if (field.number === 7) domain = await textOf(bytes, field);
  }
  if (domain !== '' && domain !== 'ai.onnx') return;
  const [output = ''] = outputs;
  if (operator === 'Identity' && inputs.length === 1) same.set(output, inputs[0]!);
  if (operator === 'Constant') await readConstant(bytes, attributes, output, tensors);
  if (operator !== 'BatchNormalization') return;
  if (inputs.length < 5) refuse('INVALID_FILE', `${inputs.length} inputs of ${describe(name)}`, '5');
  batchNorms.push({
    name: name || output,
    inputs,
    attributes: { ...defaults, ...(await numbersOf(bytes, attributes)) },
  });
}

/** The attributes of BatchNormalization that are numbers, by their names. */
async function numbersOf(bytes: ByteSource, attributes: readonly Field[]): Promise<Partial<OnnxAttributes>> {
  const numbers: Record<string, number> = {};
  const names = new Set<string>();
  for (const { start, length } of attributes) {
    let [name, value]: [string, number | undefined] = ['', undefined];
    for await (const field of fieldsIn(bytes, start, length)) {
      if (field.number === 1) name = await textOf(bytes, field);
      if (field.number === 2) value = await floatOf(bytes, field);
      if (field.number === 3) value = field.value;
    }
    if (names.has(name)) refuse('INVALID_FILE', `two attributes ${describe(name)} of a node`, 'one');
    names.add(name);
    if (['epsilon', 'momentum', 'training_mode', 'spatial'].includes(name) && value !== undefined)
      numbers[name] = value;
  }
  return numbers;
}

/** A node whose output is a tensor of its own, in the attribute `value`. */
async function readConstant(
  bytes: ByteSource,
  attributes: readonly Field[],
  output: string,
  tensors: Map<string, StoredTensor>,
): Promise<void> {
  for (const { start, length } of attributes) {
    for await (const field of fieldsIn(bytes, start, length)) {
      if (field.number === 5) setOnce(tensors, output, (await readTensorProto(bytes, field)).tensor);
    }
  }
}

async function readInitializer(bytes: ByteSource, field: Field, tensors: Map<string, StoredTensor>): Promise<void> {
  const { name, tensor } = await readTensorProto(bytes, field);
  setOnce(tensors, name, tensor);
}

async function readTensorProto(
  bytes: ByteSource,
  { start, length }: Field,
): Promise<{ name: string; tensor: StoredTensor }> {
  const shape: number[] = [];
  const [raw, numbers]: [Field[], Field[]] = [[], []];
  const external = new Map<string, string>();
  let [name, type, location] = ['', 0, 0];
  for await (const field of fieldsIn(bytes, start, length)) {
    if (field.number === 1) shape.push(...(await varintsIn(bytes, field, 64)));
    if (field.number === 2) type = field.value;
    if (field.number === 8) name = await textOf(bytes, field);
    if (field.number === 9) raw.push(field);
    if (isNumber.has(field.number)) numbers.push(field);
    if (field.number === 13) await readEntry(bytes, field, external);
    if (field.number === 14) location = field.value;
  }
  countOf(shape, describe(name));
  const isRaw = raw.length > 0;
  const parts = isRaw ? raw.slice(-1) : numbers;
  const dtype = types.get(type) ?? `type ${type} of ONNX`;
  return { name, tensor: { dtype, shape, parts, isRaw, external: location === 1 ? external : undefined } };
}

/** StringStringEntryProto */
async function readEntry(bytes: ByteSource, { start, length }: Field, entries: Map<string, string>): Promise<void> {
  let [key, value] = ['', ''];
  for await (const field of fieldsIn(bytes, start, length)) {
    if (field.number === 1) key = await textOf(bytes, field);
    if (field.number === 2) value = await textOf(bytes, field);
  }
  entries.set(key, value);
}

async function readTensor(
  bytes: ByteSource,
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  open: OnnxFileOptions['open'],
): Promise<FileTensor> {
  const { dtype, shape, parts, isRaw, external } = readableInfo(tensors, name);
  const count = countOf(shape, describe(name));
  const size = count * elementSize(dtype);
  const assertSize = (received: number, expected: number) => {
    if (received !== expected) {
      refuse('INVALID_FILE', `${received} bytes of ${describe(name)}`, `${expected} for ${dtype} of shape [${shape}]`);
    }
  };
  if (external !== undefined) {
    const read = () => externalBytes(name, external, size, open);
    return { dtype, shape, data: await readElements(dtype, describe(name), size, read) };
  }
  if (isRaw) {
    assertSize(parts[0]!.length, size);
    const read = () => bytes.read(parts[0]!.start, size);
    return { dtype, shape, data: await readElements(dtype, describe(name), size, read) };
  }
  // float_data and double_data have the bytes of their elements; the others are varints, whatever the type.
  if (dtype === 'F32' || dtype === 'F64') {
    assertSize(
      parts.reduce((sum, part) => sum + part.length, 0),
      size,
    );
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
      all.set(await bytes.read(part.start, part.length), at);
      at += part.length;
    }
    return { dtype, shape, data: elementsOf(dtype, all) };
  }
  const values: number[] = [];
  for (const part of parts) for (const value of await varintsIn(bytes, part, count - values.length)) values.push(value);
  assertSize(values.length * elementSize(dtype), size);
  return { dtype, shape, data: elementsOf(dtype, storedBytes(dtype, values)) };
}

/** The bytes of elements whose values, or bits for floats of 16, are these. */
function storedBytes(dtype: ElementType, values: readonly number[]): Uint8Array {
  if (dtype === 'F16' || dtype === 'BF16') return bytesFrom('U16', Uint16Array.from(values));
  if (dtype === 'I64' || dtype === 'U64') {
    const inexact = values.find((value) => !Number.isSafeInteger(value));
    if (inexact !== undefined) refuse('UNSUPPORTED', `an integer near ${inexact}`, 'integers below 2⁵³, or raw bytes');
    return bytesFrom('I64', BigInt64Array.from(values, BigInt));
  }
  return bytesFrom(dtype, Float64Array.from(values), 'INVALID_FILE');
}

async function externalBytes(
  name: string,
  external: ReadonlyMap<string, string>,
  size: number,
  open: OnnxFileOptions['open'],
): Promise<Uint8Array> {
  const [file = '', offset, length] = ['location', 'offset', 'length'].map((key) => external.get(key));
  if (open === undefined) {
    refuse(
      'INVALID_OPTION',
      `${describe(name)} in the file ${describe(file)}`,
      '`open`, which gives files of external data',
    );
  }
  // Whoever opens it may put a folder before it.
  if (!/^[\w.-]+$/.test(file) || /^\.+$/.test(file)) {
    refuse('INVALID_FILE', `external data in ${describe(file)}`, 'a name of letters, digits, dots and dashes');
  }
  const start = Number(offset ?? 0);
  if (!Number.isSafeInteger(start) || start < 0 || (length !== undefined && Number(length) !== size)) {
    refuse('INVALID_FILE', `external data of ${length} bytes at ${offset} for ${describe(name)}`, `${size} bytes`);
  }
  return (await bytesOf(await open(file))).read(start, size);
}
