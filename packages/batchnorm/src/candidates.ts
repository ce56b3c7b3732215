// The backends to choose from. Each is loaded when it is asked for its backend, and not before.
import { type Backend, BatchNormError } from '@batchnorm/core-api';
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

/** An optional peer dependency: gpu.js is larger than everything else together, and most pages do without. */
async function createGpuJs(): Promise<Backend> {
  let module: typeof import('@batchnorm/backend-gpujs');
  // Bundlers resolve an import in a `try` later, when it runs, if they can't now.
  try {
    module = await import('@batchnorm/backend-gpujs');
  } catch (cause) {
    throw new BatchNormError(
      'BACKEND_UNAVAILABLE',
      `received no package @batchnorm/backend-gpujs, expected it beside batchnorm (npm install @batchnorm/backend-gpujs): ${(cause as Error).message}`,
      { cause },
    );
  }
  return module.createGpuJsBackend();
}
