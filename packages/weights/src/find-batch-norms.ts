// The batch norms in a file, found by the names of their tensors, or by what the file says of its layers.
import { describe, refuse } from '@batchnorm/core-api';
import { fromKeras, type KerasConfig, type KerasWeights } from './keras.js';
import type { LayerWeights } from './layer-weights.js';
import { fromOnnx, type OnnxAttributes, type OnnxInputs } from './onnx.js';
import type { OnnxFile, OnnxNode } from './onnx-file.js';
import { fromPyTorch, type PyTorchHyperparameters, type PyTorchStateDict } from './pytorch.js';
import type { TensorFile } from './tensor-file.js';

/** Hyperparameters of a batch norm, called as its framework calls them: those that its file does not hold. */
export type Hyperparameters = Partial<PyTorchHyperparameters> | Partial<KerasConfig> | Partial<OnnxAttributes>;

/** A batch norm in a file; none of its numbers has been read. */
export interface FoundBatchNorm {
  /** The path of its tensors without their own names: 'layer1.0.bn1'. */
  readonly name: string;
  readonly convention: 'PyTorch' | 'Keras' | 'ONNX';
  readonly channels: number;
  /** The names in the file of its tensors, by those of its framework: `running_var`, `moving_variance`, `input_var`. */
  readonly tensors: Readonly<Record<string, string>>;
  /** The hyperparameters that the file holds; undefined where it holds none, and `load` has to be given them. */
  readonly hyperparameters: Readonly<Record<string, unknown>> | undefined;
  /**
   * Reads its numbers: options and state of a layer. What is passed has precedence over what the file holds. Errors:
   * those of `fromPyTorch`, `fromKeras` or `fromOnnx`, such as `INVALID_OPTION` where hyperparameters are missing, and of
   * the file's `read`.
   */
  load(hyperparameters?: Hyperparameters): Promise<LayerWeights>;
}

/** The names of a convention's tensors: those that show that there is a batch norm, and others that it may have. */
const conventions = [
  {
    convention: 'PyTorch',
    mean: 'running_mean',
    variance: 'running_var',
    others: ['weight', 'bias', 'num_batches_tracked'],
  },
  { convention: 'Keras', mean: 'moving_mean', variance: 'moving_variance', others: ['gamma', 'beta'] },
] as const;

/**
 * The batch norms of a file, in its order: nodes of BatchNormalization in a model of ONNX, elsewhere tensors that have
 * running statistics by the names of PyTorch ('bn1.running_mean') or Keras ('bn1/moving_mean'). Layers without running
 * statistics have no names of their own, and are not found. PyTorch's InstanceNorm with running statistics has the same
 * names. A mean without a variance, or of another shape than [C], is left out; `inspect` tells of it. Errors:
 * `INVALID_OPTION` for what is no open file.
 */
export function findBatchNorms(file: TensorFile): readonly FoundBatchNorm[] {
  return candidates(file).filter((one) => 'load' in one);
}

/** What has the name of a batch norm's mean, and is none. */
export interface OddStatistics extends Pick<FoundBatchNorm, 'name' | 'convention'> {
  readonly warning: string;
}

/** The batch norms of a file, and what only seems to be one, in its order. Errors: those of `findBatchNorms`. */
export function candidates(file: TensorFile): readonly (FoundBatchNorm | OddStatistics)[] {
  if (typeof Object(Object(file).tensors).get !== 'function' || typeof file.read !== 'function') {
    refuse('INVALID_OPTION', `a file ${describe(file)}`, 'an open one, such as `await openSafetensors(…)` gives');
  }
  if ('batchNorms' in file) return (file as OnnxFile).batchNorms.map((node) => ofNode(file, node));
  return [...file.tensors.keys()].flatMap((key) => {
    const [path, own] = split(key);
    const known = conventions.find(({ mean }) => mean === own);
    return known === undefined ? [] : [ofNames(file, path, key, known)];
  });
}

/** 'a.b.running_mean' is 'a.b.' and 'running_mean'; 'bn/moving_mean:0' is 'bn/' and 'moving_mean'. */
function split(key: string): readonly [path: string, own: string] {
  const at = Math.max(key.lastIndexOf('.'), key.lastIndexOf('/')) + 1;
  return [key.slice(0, at), key.slice(at).replace(/:0$/, '')];
}

function ofNames(
  file: TensorFile,
  path: string,
  meanKey: string,
  { convention, mean, variance, others }: (typeof conventions)[number],
): FoundBatchNorm | OddStatistics {
  const suffix = meanKey.endsWith(':0') ? ':0' : '';
  const keys = [mean, variance, ...others].map((own) => [own, `${path}${own}${suffix}`] as const);
  const tensors = Object.fromEntries(keys.filter(([, key]) => file.tensors.has(key)));
  const [shape, other] = [meanKey, tensors[variance]].map((key) => key && file.tensors.get(key)?.shape);
  const name = path.slice(0, -1);
  if (shape?.length !== 1 || String(other) !== String(shape)) {
    const than = other ? `${variance} of [${other}]` : `no ${variance}`;
    return { name, convention, warning: `no batch norm: ${mean} of shape [${shape}], ${than}` };
  }
  const hyperparameters = file.layerConfigs?.get(name);
  return {
    ...{ name, convention, channels: shape[0] as number, tensors, hyperparameters },
    async load(given) {
      assertConvention(convention, given);
      const values = await readAll(file, tensors);
      const all = { ...hyperparameters, ...given };
      return convention === 'PyTorch'
        ? fromPyTorch(values as PyTorchStateDict, all as PyTorchHyperparameters)
        : fromKeras(values as unknown as KerasWeights, all as KerasConfig);
    },
  };
}

function ofNode(file: TensorFile, { name, inputs, attributes }: OnnxNode): FoundBatchNorm {
  const [, scale, B, input_mean, input_var] = inputs as readonly [string, string, string, string, string];
  const tensors = { scale, B, input_mean, input_var };
  const missing = Object.values(tensors).find((key) => !file.tensors.has(key));
  return {
    ...{ name, convention: 'ONNX', tensors, hyperparameters: { ...attributes } },
    channels: file.tensors.get(scale)?.shape[0] ?? 0,
    async load(given) {
      assertConvention('ONNX', given);
      if (missing !== undefined) {
        refuse('UNSUPPORTED', `${describe(missing)}, which the graph computes`, 'an initialiser of the model');
      }
      const all = { ...attributes, ...given } as OnnxAttributes;
      return fromOnnx((await readAll(file, tensors)) as unknown as OnnxInputs, all);
    },
  };
}

/**
 * Errors: `INVALID_OPTION` for the epsilon of another framework, whose momentum would be another number, too: one that is
 * left over would be taken for nobody's.
 */
function assertConvention(convention: FoundBatchNorm['convention'], given: Hyperparameters = {}): void {
  const [foreign, own] = convention === 'PyTorch' ? ['epsilon', 'eps'] : ['eps', 'epsilon'];
  if (foreign in Object(given))
    refuse('INVALID_OPTION', `'${foreign}' for a batch norm of ${convention}`, `'${own}' and its momentum`);
}

async function readAll(file: TensorFile, tensors: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const read = Object.entries(tensors).map(async ([own, key]) => [own, await file.read(key)] as const);
  return Object.fromEntries(await Promise.all(read));
}
