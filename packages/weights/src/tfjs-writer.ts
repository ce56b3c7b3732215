// Models of TensorFlow.js as files: model.json, and one shard with the bytes of all tensors.
import { describe, refuse } from '@batchnorm/core-api';
import { bytesFrom, type ElementType } from './element-types.js';
import { assertTensor, type FileTensor, namedTensors } from './tensor-file.js';

/** The two files of a model; model.json names the other one. */
export interface TfjsFiles {
  readonly 'model.json': Uint8Array;
  readonly 'group1-shard1of1.bin': Uint8Array;
}

/** What a weight of TensorFlow.js can be. */
const types: ReadonlyMap<ElementType, string> = new Map([
  ['F32', 'float32'],
  ['I32', 'int32'],
  ['BOOL', 'bool'],
]);

/**
 * The files of a model. `modelTopology` is that of the model.json in which such weights belong; without it
 * `tf.io.loadWeights` reads them, and `tf.loadLayersModel` does not. Errors: `INVALID_TENSOR`; `UNSUPPORTED` for elements
 * that TensorFlow.js has no weights of; `INVALID_OPTION` for a name with lone surrogates, or a `modelTopology` of which
 * JSON makes no object.
 */
export function writeTfjs(
  tensors: Readonly<Record<string, FileTensor>> | ReadonlyMap<string, FileTensor>,
  modelTopology?: object,
): TfjsFiles {
  const topology = modelTopology === undefined ? {} : { modelTopology: asJson(modelTopology) };
  const parts: Uint8Array[] = [];
  const weights = namedTensors(tensors).map(([name, tensor]) => {
    assertTensor(name, tensor);
    const dtype = types.get(tensor.dtype);
    if (dtype === undefined)
      refuse('UNSUPPORTED', `${tensor.dtype} of ${describe(name)} for TensorFlow.js`, [...types.keys()].join(', '));
    parts.push(bytesFrom(tensor.dtype, tensor.data));
    return { name, shape: tensor.shape, dtype };
  });
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const manifest = [{ paths: ['group1-shard1of1.bin'], weights }];
  const model = { format: 'layers-model', ...topology, weightsManifest: manifest };
  return { 'model.json': new TextEncoder().encode(JSON.stringify(model)), 'group1-shard1of1.bin': bytes };
}

/** What a reader of model.json will have of it. Errors: `INVALID_OPTION`. */
function asJson(modelTopology: unknown): object {
  const expected = "that of a model's model.json, or none";
  let value: unknown;
  try {
    value = JSON.parse(JSON.stringify(modelTopology) ?? 'null');
  } catch (cause) {
    refuse('INVALID_OPTION', 'a modelTopology that JSON can not hold', expected, { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  refuse('INVALID_OPTION', `modelTopology ${describe(modelTopology)}`, expected);
}
