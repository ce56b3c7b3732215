// Models of TensorFlow.js: model.json, which says which tensors there are, and files of their bytes, the shards.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource } from './byte-source.js';
import { countOf, type Elements, type ElementType, elementSize, readElements } from './element-types.js';
import { fieldsOf, parseJson } from './json.js';
import { kerasConfigs, withPaths } from './keras-configs.js';
import { readableInfo, setOnce, type TensorFile, type TensorInfo } from './tensor-file.js';

/** In bytes. */
const longestModel = 2 ** 28;

/** A tensor in the bytes of its group of shards. */
interface StoredTensor extends TensorInfo {
  readonly group: ByteSource;
  readonly start: number;
  /** What its bytes are, where that is not `dtype`. */
  readonly stored: ElementType;
  /** value = scale · stored + min */
  readonly scale: number;
  readonly min: number;
}

/** As tfjs stores them: bool in bytes. */
const types: ReadonlyMap<unknown, ElementType> = new Map([
  ['float32', 'F32'],
  ['int32', 'I32'],
  ['bool', 'BOOL'],
  ['uint8', 'U8'],
  ['uint16', 'U16'],
  ['float16', 'F16'],
]);

/**
 * Opens a model of TensorFlow.js; `open` gives each shard by its path, as model.json has it: that of a file, not from a
 * root, without '..'. No tensor is read. Quantised tensors are read as float32, which is what tfjs computes with.
 *
 * Errors: `INVALID_FILE`; whatever `open` throws; those of the sources.
 */
export async function openTfjs(
  model: FileSource,
  open: (path: string) => FileSource | Promise<FileSource>,
): Promise<TensorFile> {
  const bytes = await bytesOf(model);
  if (bytes.size > longestModel)
    refuse('LIMIT_EXCEEDED', `model.json of ${bytes.size} bytes`, `at most ${longestModel}`);
  const json = parseJson(await bytes.read(0, bytes.size), 'model.json');
  const manifest = fieldsOf(json, 'model.json').get('weightsManifest');
  if (!Array.isArray(manifest)) refuse('INVALID_FILE', `weightsManifest ${describe(manifest)}`, 'a list of groups');
  const tensors = new Map<string, StoredTensor>();
  for (const value of manifest) await readGroup(fieldsOf(value, 'a group'), open, tensors);
  const layerConfigs = withPaths(kerasConfigs(fieldsOf(json, 'model.json').get('modelTopology')), tensors);
  return {
    format: 'tfjs',
    tensors,
    layerConfigs,
    async read(name) {
      const { dtype, shape, group, start, stored, scale, min } = readableInfo(tensors, name);
      const size = countOf(shape, describe(name)) * elementSize(stored);
      const data = await readElements(stored, describe(name), size, () => group.read(start, size));
      return { dtype, shape, data: stored === dtype ? data : dequantised(data, scale, min) };
    },
  };
}

async function readGroup(
  group: ReadonlyMap<string, unknown>,
  open: (path: string) => FileSource | Promise<FileSource>,
  tensors: Map<string, StoredTensor>,
): Promise<void> {
  const [paths, weights] = [group.get('paths'), group.get('weights')];
  if (!Array.isArray(paths) || !Array.isArray(weights))
    refuse('INVALID_FILE', 'a group without paths or weights', 'both');
  const shards: ByteSource[] = [];
  for (const path of paths) {
    assertPath(path);
    shards.push(await bytesOf(await open(path)));
  }
  const source = joined(shards);
  let start = 0;
  for (const value of weights) {
    const { name, tensor } = storedTensor(fieldsOf(value, 'a weight'), source, start);
    setOnce(tensors, name, tensor);
    start += countOf(tensor.shape, describe(name)) * elementSize(tensor.stored);
  }
  if (start !== source.size) refuse('INVALID_FILE', `${source.size} bytes of ${describe(paths[0])}, …`, `${start}`);
}

function assertPath(path: unknown): asserts path is string {
  const parts = typeof path === 'string' ? path.split('/') : [''];
  if (parts.every((part) => /^[\w. -]+$/.test(part) && part !== '..') && parts.at(-1) !== '.') return;
  refuse(
    'INVALID_FILE',
    `a shard ${describe(path)}`,
    "the path of a file, of letters, digits, dots and dashes, of which no part is empty or '..'",
  );
}

function storedTensor(
  fields: ReadonlyMap<string, unknown>,
  group: ByteSource,
  start: number,
): { name: string; tensor: StoredTensor } {
  const [name, shape] = [fields.get('name'), fields.get('shape')];
  if (typeof name !== 'string') refuse('INVALID_FILE', `name ${describe(name)} of a weight`, 'a string');
  countOf(shape, describe(name));
  const type = types.get(fields.get('dtype'));
  // What a text takes is in its bytes alone, and what comes after it can't be found.
  if (type === undefined)
    refuse('UNSUPPORTED', `dtype ${describe(fields.get('dtype'))} of ${describe(name)}`, 'numbers');
  const place = { group, start, shape: shape as number[] };
  if (fields.get('quantization') === undefined)
    return { name, tensor: { ...place, dtype: type, stored: type, scale: 1, min: 0 } };
  const quantization = fieldsOf(fields.get('quantization'), `quantization of ${describe(name)}`);
  const stored = types.get(quantization.get('dtype'));
  // Of float16, scale and min are none.
  const isScaled = stored === 'U8' || stored === 'U16';
  const [scale, min] = isScaled ? [quantization.get('scale'), quantization.get('min')] : [1, 0];
  if (type !== 'F32' || !(isScaled || stored === 'F16') || !isFiniteNumber(scale) || !isFiniteNumber(min)) {
    refuse(
      'INVALID_FILE',
      `quantization of ${describe(name)} to ${describe(quantization.get('dtype'))}, scale ${describe(scale)}, min ${describe(min)}`,
      'float32 as uint8 or uint16 with scale and min, or as float16',
    );
  }
  return { name, tensor: { ...place, dtype: 'F32', stored, scale, min } };
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}

function dequantised(data: Elements, scale: number, min: number): Float32Array {
  return Float32Array.from(data as Float32Array, (value) => value * scale + min);
}

/** The bytes of sources one after the other. */
function joined(sources: readonly ByteSource[]): ByteSource {
  const size = sources.reduce((sum, source) => sum + source.size, 0);
  return {
    size,
    async read(offset, length) {
      if (offset + length > size) refuse('INVALID_FILE', `${size} bytes in the shards`, `${offset + length}`);
      const bytes = new Uint8Array(length);
      let start = 0;
      for (const source of sources) {
        const [from, to] = [Math.max(offset, start), Math.min(offset + length, start + source.size)];
        if (from < to) bytes.set(await source.read(from - start, to - from), from - offset);
        start += source.size;
      }
      return bytes;
    },
  };
}
