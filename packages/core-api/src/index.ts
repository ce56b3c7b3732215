// The public names of @batchnorm/core-api.
export { AllocatedTensor } from './allocated-tensor.js';
export type {
  Accumulation,
  Backend,
  BackwardInput,
  BackwardOutput,
  Capabilities,
  DeviceMemory,
  DeviceTensor,
  Execution,
  ForwardInferenceInput,
  ForwardInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  GradientBuffers,
  GradientSums,
  GradientSumsInput,
  HostMemory,
  InputGradientInput,
  Kernels,
  Memory,
  MomentsInput,
  Nonlinearity,
  NormalizeInput,
  Normalizer,
  Operations,
  Plan,
  Saved,
  Stages,
} from './backend.js';
export { BatchNorm } from './batch-norm.js';
export { type Batches, type CalibrationOptions, type CalibrationProgress, calibrate } from './calibrate.js';
export type { CalibrationCheckpoint } from './calibration.js';
export type {
  BackwardOptions,
  ForwardOptions,
  Gradients,
  GradientVector,
  LoadMomentsOptions,
  MomentsOptions,
  NewBackwardOptions,
  NewForwardOptions,
} from './calls.js';
export { type Collective, inCallOrder } from './collective.js';
export { type CountedPositions, everyCountedRun } from './counted-positions.js';
export { describe, describeShape } from './describe.js';
export { BatchNormError, type ErrorCode, refuse } from './errors.js';
export { type Extent, everyIndex, everyRun, extentOf, product, valuesPerChannel } from './extent.js';
export { elementsFrom, float16Bits, float16Numbers, largestFloat16, numbersOf } from './float16.js';
export type { ForwardPass, SyncForwardPass } from './forward-pass.js';
export { type HostBackendOptions, hostBackend } from './host-backend.js';
export type { Forward, HostPasses } from './host-passes.js';
export { inProcessCollective } from './in-process-collective.js';
export {
  assertBackwardInRange,
  assertMergedMomentsInRange,
  assertMomentsInRange,
  assertScaleInRange,
} from './in-range.js';
export type { Mask } from './mask.js';
export type { MaybePromise } from './maybe-promise.js';
export {
  assertFiniteMoments,
  type Moments,
  type MomentsState,
  mergeMoments,
  readMoments,
  type Statistics,
  statisticsOf,
  writeMoments,
} from './moments.js';
export { operationsOf } from './operations.js';
export { assertOption, assertOptionNames, assertOptions, type OptionCheck, oneOf } from './option-checks.js';
export {
  type BatchNormOptions,
  defaultOptions,
  type LayerOptions,
  type Momentum,
  type ResolvedOptions,
} from './options.js';
export { allocatesMemory, checkedShape, copyOn, ordinaryTensor } from './ordinary-tensor.js';
export { assertDtype, isBackend, layerOptionChecks, resolveLayerOptions } from './resolve-options.js';
export type { BatchNormState, LoadableState } from './state.js';
export { type LoadStateOptions, type StateOptions, stateOptionNames } from './state-options.js';
export type { Numbers } from './state-vectors.js';
export type { SyncCalls } from './sync-calls.js';
export {
  allocate,
  arrayOf,
  type Dtype,
  dtypeOf,
  type Float16Elements,
  type Float16Tensor,
  type FloatArray,
  type OnDevice,
  type Tensor,
} from './tensor.js';
export {
  assertEnoughValues,
  assertTensor,
  assertWithinLimits,
  checkedTensor,
  validateInputShape,
} from './tensor-checks.js';
export { readUntrusted } from './untrusted.js';
