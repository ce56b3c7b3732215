// Files of Keras: .keras and .weights.h5 of Keras 3, .h5 of every version.
import { describe, refuse } from '@batchnorm/core-api';
import { type ByteSource, bytesOf, type FileSource } from './byte-source.js';
import { countOf, elementsWith, numpyTypes } from './element-types.js';
import { type Hdf5File, type Hdf5Library, openHdf5 } from './hdf5.js';
import { parseJson } from './json.js';
import { kerasConfigs, withPaths } from './keras-configs.js';
import { readableInfo, type TensorFile, type TensorInfo } from './tensor-file.js';
import { checkedBytesOfEntry, openZip } from './zip.js';

/** In bytes. */
const longestFile = 2 ** 30;

/** Of the JSON that says what layers there are, in characters: parsed, it takes fifty times as much. */
const longestConfig = 2 ** 22;

/** A tensor, and where HDF5 has it. */
interface StoredTensor extends TensorInfo {
  readonly path: string;
}

/**
 * Opens a file of Keras with `jsfive`, which in a page is `await import('jsfive')`, and takes it whole; Node finds the
 * package by itself. Its batch norms are called by their layers: 'bn/gamma'. A .weights.h5 has no configs, and `load` has to be given them; which of three vectors is gamma
 * or beta only a .keras or .h5 file says.
 *
 * Errors: `LIMIT_EXCEEDED` for a file of more than 1 GiB, or a config of more than 4 Mi characters; `UNSUPPORTED` without jsfive; `INVALID_FILE`; `INVALID_OPTION` for what is not jsfive; those of
 * the source.
 */
export async function openKeras(source: FileSource, jsfive?: Hdf5Library): Promise<TensorFile> {
  const bytes = await bytesOf(source);
  if (bytes.size > longestFile) refuse('LIMIT_EXCEEDED', `a file of ${bytes.size} bytes`, `${longestFile} at most`);
  const first = await bytes.read(0, Math.min(2, bytes.size));
  const isArchive = String(first) === '80,75';
  const { hdf5, config } = isArchive ? await fromArchive(bytes) : { hdf5: bytes, config: undefined };
  const file = openHdf5(await hdf5.read(0, hdf5.size), jsfive ?? (await installedJsfive()));
  const model = config ?? file.attribute('', 'model_config');
  if (typeof model === 'string' && model.length > longestConfig) {
    refuse('LIMIT_EXCEEDED', `a config of ${model.length} characters`, `${longestConfig} at most`);
  }
  const configs = kerasConfigs(typeof model === 'string' ? parseJson(new TextEncoder().encode(model), 'config') : {});
  const tensors = storedTensors(file, configs);
  return {
    format: 'Keras',
    tensors,
    layerConfigs: withPaths(configs, tensors),
    async read(name) {
      const { dtype, shape, path } = readableInfo(tensors, name);
      const values = file.values(path);
      if (values.length !== countOf(shape, describe(name))) {
        refuse('INVALID_FILE', `${values.length} elements of ${describe(name)}`, `shape [${shape}]`);
      }
      return { dtype, shape, data: elementsWith(dtype, values) };
    },
  };
}

async function installedJsfive(): Promise<Hdf5Library> {
  // Not a literal: bundlers of pages must not look for it.
  const name = 'jsfive';
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as Hdf5Library;
  } catch (cause) {
    refuse('UNSUPPORTED', 'a file of Keras without jsfive', 'it: npm install jsfive', { cause });
  }
}

async function fromArchive(bytes: ByteSource): Promise<{ hdf5: ByteSource; config: string }> {
  const archive = await openZip(bytes);
  const entry = (name: string) => {
    const found = archive.get(name);
    if (found === undefined) refuse('INVALID_FILE', `an archive without '${name}'`, 'a .keras file');
    return checkedBytesOfEntry(bytes, found);
  };
  const config = await entry('config.json');
  return {
    hdf5: await entry('model.weights.h5'),
    config: new TextDecoder().decode(await config.read(0, config.size)),
  };
}

function storedTensors(
  file: Hdf5File,
  configs: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): ReadonlyMap<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [path, { shape, dtype }] of file.arrays) {
    countOf(shape, describe(path));
    // Layers may have one name in models within models: the path tells them apart.
    const [name, longer] = namesOf(file, path, configs);
    const own = tensors.has(name) ? longer : name;
    tensors.set(own, {
      dtype: numpyTypes.get(String(dtype).slice(1)) ?? String(dtype),
      shape: shape as number[],
      path,
    });
  }
  return tensors;
}

/**
 * A short name, and one that no other tensor has. In an .h5 file 'model_weights/bn/model/bn/gamma' is 'model/bn/gamma'. In
 * files of Keras 3 'layers/…/vars/0' is the first variable of a layer, whose own name is an attribute.
 */
function namesOf(
  file: Hdf5File,
  path: string,
  configs: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): readonly [name: string, longer: string] {
  const legacy = /^(?:model_weights\/)?[^/]+\/(.+)$/.exec(path);
  if (legacy !== null && file.attribute(path.startsWith('model_weights/') ? 'model_weights' : '', 'layer_names')) {
    return [legacy[1]!, path];
  }
  const [, layer, index] = /^(.+)\/vars\/(\d+)$/.exec(path) ?? [];
  if (layer === undefined) return [path, path];
  const given = file.attribute(`${layer}/vars`, 'name');
  const name = typeof given === 'string' && given !== '' ? given : layer;
  const variable = variablesOf(file, layer, configs.get(name))?.[Number(index)];
  return variable === undefined ? [path, path] : [`${name}/${variable}`, `${layer}/${variable}`];
}

/** The names of a batch norm's variables, in the order in which the layer makes them; undefined where nothing says so. */
function variablesOf(
  file: Hdf5File,
  layer: string,
  config: Readonly<Record<string, unknown>> | undefined,
): readonly string[] | undefined {
  const count = [...Array(5).keys()].filter((k) => file.arrays.has(`${layer}/vars/${k}`)).length;
  const isBatchNorm = config !== undefined || /(^|\/)batch_normalization(_\d+)?$/.test(layer);
  const { scale = count === 4, center = count === 4 } = config ?? {};
  const names = [...(scale ? ['gamma'] : []), ...(center ? ['beta'] : []), 'moving_mean', 'moving_variance'];
  return isBatchNorm && names.length === count ? names : undefined;
}
