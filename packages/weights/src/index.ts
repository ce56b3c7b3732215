// The public names of @batchnorm/weights.
export { type Affine, affine } from './affine.js';
export type { ByteSource, FileSource, OpenFile } from './byte-source.js';
export type { Elements, ElementType } from './element-types.js';
export { type FoundBatchNorm, findBatchNorms, type Hyperparameters } from './find-batch-norms.js';
export { type FloatTensor, floats } from './floats.js';
export { type Folded, fold, type Linear } from './fold.js';
export type { Hdf5Library } from './hdf5.js';
export { type Inspection, inspect } from './inspect.js';
export {
  type FromKerasOptions,
  fromKeras,
  type KerasConfig,
  type KerasLayer,
  type KerasWeights,
  toKeras,
} from './keras.js';
export { openKeras } from './keras-file.js';
export type { Layer, LayerWeights } from './layer-weights.js';
export { openNpy, writeNpy } from './npy.js';
export { openNpz, writeNpz } from './npz.js';
export { fromOnnx, type OnnxAttributes, type OnnxInputs, type OnnxLayer, toOnnx } from './onnx.js';
export { type OnnxFile, type OnnxFileOptions, type OnnxNode, openOnnx } from './onnx-file.js';
export { writeOnnx } from './onnx-writer.js';
export {
  fromPyTorch,
  type PyTorchHyperparameters,
  type PyTorchLayer,
  type PyTorchStateDict,
  toPyTorch,
} from './pytorch.js';
export { openPyTorch } from './pytorch-file.js';
export { openSafetensors, type SafetensorsFile, safetensorsParts, writeSafetensors } from './safetensors.js';
export { openShardedSafetensors } from './sharded-safetensors.js';
export type { FileFormat, FileTensor, TensorFile, TensorInfo } from './tensor-file.js';
export { openTfjs } from './tfjs-model.js';
export { type TfjsFiles, writeTfjs } from './tfjs-writer.js';
export type { TranslationOptions } from './translation.js';
export type { VectorLike } from './vectors.js';
