// The public names of @batchnorm/backend-webgpu.
export { createWebGpuBackend, type WebGpuBackend, type WrapOptions } from './backend.js';
export type { WebGpuTensor } from './device-tensor.js';
export type { WebGpuOptions } from './options.js';
