// The public names of @batchnorm/core-api.
export type {
  Accumulation,
  Backend,
  BackwardInput,
  BackwardOutput,
  Capabilities,
  DeviceMemory,
  Execution,
  ForwardInferenceInput,
  ForwardInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  HostMemory,
  Kernels,
  Memory,
  Operations,
  Plan,
  Saved,
  Statistics,
} from './backend.js';
export {
  type BackwardOptions,
  BatchNorm,
  type ForwardOptions,
  type Gradients,
  type GradientVector,
  type Numbers,
} from './batch-norm.js';
export { BatchNormError, type ErrorCode } from './errors.js';
export { type Extent, extentOf, product, valuesPerChannel } from './extent.js';
export type { ForwardPass } from './forward-pass.js';
export { type HostBackendOptions, hostBackend } from './host-backend.js';
export type { Forward, HostPasses } from './host-kernels.js';
export type { MaybePromise } from './maybe-promise.js';
export {
  type BatchNormOptions,
  defaultOptions,
  type LayerOptions,
  type Momentum,
  type ResolvedOptions,
} from './options.js';
export { assertFiniteStatistics } from './running-statistics.js';
export { selectBackend } from './select/select-backend.js';
export {
  type Candidate,
  type CandidateReport,
  type Operation,
  operations,
  type Selection,
  type SelectionCache,
  type SelectionReport,
  type SelectOptions,
} from './select/selection.js';
export type { BatchNormState } from './state.js';
export {
  allocate,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type FloatArray,
  type OnDevice,
  type Tensor,
} from './tensor.js';
export {
  assertEnoughValues,
  assertTensor,
  layerOptionChecks,
  type OptionCheck,
  resolveLayerOptions,
  validateInputShape,
} from './validate.js';
