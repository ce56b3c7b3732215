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

function wasm(threads: number): Entry {
  return { platforms: ['node', 'chromium'], create: () => createWasmBackend({ threads }) };
}

function gpujs(mode: GpuJsMode, ...platforms: Platform[]): Entry {
  return { platforms, create: () => createGpuJsBackend({ mode }) };
}

export const backends: Readonly<Record<string, Entry>> = {
  js: { platforms: ['node', 'chromium'], create: createJsBackend },
  'wasm-1': wasm(1),
  'wasm-2': wasm(2),
  'gpujs-cpu': gpujs('cpu', 'node', 'chromium'),
  'gpujs-webasm': gpujs('webasm', 'node', 'chromium'),
  'gpujs-headlessgl': gpujs('headlessgl', 'node'),
  'gpujs-webgl': gpujs('webgl', 'chromium'),
  'gpujs-webgl2': gpujs('webgl2', 'chromium'),
  'gpujs-webgpu': gpujs('webgpu', 'chromium'),
};

/** The backends of a name, or of a family: 'gpujs' is every 'gpujs-…'. */
export function backendsNamed(name: string): string[] {
  return Object.keys(backends).filter((one) => one === name || one.startsWith(`${name}-`));
}
