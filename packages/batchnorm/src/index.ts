// The public names of batchnorm: creating a layer, and everything of @batchnorm/core-api and @batchnorm/select.
export * from '@batchnorm/core-api';
export * from '@batchnorm/select';
export { type BackendName, candidates } from './candidates.js';
export { type CreateBatchNormOptions, createBatchNorm } from './create-batch-norm.js';
export { SelectedBatchNorm } from './selected-batch-norm.js';
