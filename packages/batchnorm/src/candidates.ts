// The backends to choose from. Each is loaded when it is asked for its backend, and not before.
import { type Backend, refuse } from '@batchnorm/core-api';
import type { Candidate } from '@batchnorm/select';

/** What `createBatchNorm` takes by name. */
export type BackendName = 'wasm' | 'js' | 'webgpu' | 'gpujs';

/**
 * Of two that are equally fast, and without measuring, the earlier one is taken. GPUs come last: data travel to them and
 * back.
 */
export const candidates: Readonly<Record<BackendName, Candidate>> = {
  wasm: { name: 'wasm', create: async () => (await import('@batchnorm/backend-wasm')).createWasmBackend() },
  js: { name: 'js', create: async () => (await import('@batchnorm/backend-js')).createJsBackend() },
  webgpu: { name: 'webgpu', create: async () => (await import('@batchnorm/backend-webgpu')).createWebGpuBackend() },
  gpujs: { name: 'gpujs', create: createGpuJs },
};

/**
 * An optional peer dependency: gpu.js is larger than everything else together, and most programs do without. Not a
 * literal import: bundlers would look for what is not there, and warn or fail. Therefore a bundled page has to hand over
 * the factory.
 */
async function createGpuJs(): Promise<Backend> {
  const name = '@batchnorm/backend-gpujs';
  let module: typeof import('@batchnorm/backend-gpujs');
  try {
    module = await import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ name);
  } catch (cause) {
    const expected =
      `it beside batchnorm (npm install ${name}), and in a bundle its factory in ` +
      "backends: [{ name: 'gpujs', create: createGpuJsBackend }]";
    refuse('BACKEND_UNAVAILABLE', `no package ${name}`, `${expected}: ${(cause as Error).message}`, { cause });
  }
  return module.createGpuJsBackend();
}
