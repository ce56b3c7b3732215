// Makes a backend by its name, in a worker: only what is asked for is loaded.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import type { Backend } from '@batchnorm/core-api';
import type { BackendName } from './backends.js';

const gpujs = (mode: GpuJsMode) => async (): Promise<Backend> => {
  const { createGpuJsBackend } = await import('@batchnorm/backend-gpujs');
  return createGpuJsBackend({ mode });
};

const factories: Readonly<Record<BackendName, () => Promise<Backend>>> = {
  js: async () => (await import('@batchnorm/backend-js')).createJsBackend(),
  wasm: async () => (await import('@batchnorm/backend-wasm')).createWasmBackend(),
  'gpujs-cpu': gpujs('cpu'),
  'gpujs-webasm': gpujs('webasm'),
  'gpujs-webgl': gpujs('webgl'),
  'gpujs-webgl2': gpujs('webgl2'),
  'gpujs-webgpu': gpujs('webgpu'),
};

/** Errors: `BACKEND_UNAVAILABLE` with the reason, and whatever else the factory fails with. */
export function createBackend(name: BackendName): Promise<Backend> {
  return factories[name]();
}
