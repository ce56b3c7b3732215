// The public names of @batchnorm/backend-gpujs.
export { createGpuJsBackend, type GpuJsBackend, type GpuJsOptions } from './backend.js';
export { type GpuJsMode, gpuJsModes, type RejectedMode } from './modes.js';
