// The backends that `--backend` names, and where each of them can run.
import { createGpuJsBackend, type GpuJsMode } from '@batchnorm/backend-gpujs';
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import type { Backend, MaybePromise } from '@batchnorm/core-api';

export type Platform = 'node' | 'chromium';

interface Entry {
  readonly platforms: readonly Platform[];
  readonly create: () => MaybePromise<Backend>;
}

function gpujs(mode: GpuJsMode, ...platforms: Platform[]): Entry {
  return { platforms, create: () => createGpuJsBackend({ mode }) };
}

export const backends: Readonly<Record<string, Entry>> = {
  js: { platforms: ['node', 'chromium'], create: createJsBackend },
  wasm: { platforms: ['node', 'chromium'], create: () => createWasmBackend() },
  'wasm-single': { platforms: ['node', 'chromium'], create: () => createWasmBackend({ threads: 1 }) },
  'gpujs-cpu': gpujs('cpu', 'node', 'chromium'),
  'gpujs-webasm': gpujs('webasm', 'node', 'chromium'),
  'gpujs-headlessgl': gpujs('headlessgl', 'node'),
  'gpujs-webgl': gpujs('webgl', 'chromium'),
  'gpujs-webgl2': gpujs('webgl2', 'chromium'),
  'gpujs-webgpu': gpujs('webgpu', 'chromium'),
};
