// Every backend of this repository, one line each: where it runs, its package, and how it is made. Modules are loaded by name,
// or by the bench from the folder of another commit.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import type { Backend, MaybePromise } from '@batchnorm/core-api';

export type Platform = 'node' | 'chromium';

export interface BackendEntry {
  readonly platforms: readonly Platform[];
  /** Its folder in packages/. */
  readonly folder: string;
  /** Of gpu.js, where it is one. */
  readonly mode?: GpuJsMode;
  /** The module, as this commit has it. */
  readonly load: () => Promise<unknown>;
  /** Errors: `BACKEND_UNAVAILABLE`. */
  readonly create: (module: unknown) => MaybePromise<Backend>;
}

const everywhere: readonly Platform[] = ['node', 'chromium'];

function entry<Module>(
  folder: string,
  platforms: readonly Platform[],
  load: () => Promise<Module>,
  create: (module: Module) => MaybePromise<Backend>,
): BackendEntry {
  return { folder, platforms, load, create: create as (module: unknown) => MaybePromise<Backend> };
}

const gpujs = (mode: GpuJsMode, platforms: readonly Platform[]): BackendEntry => ({
  ...entry(
    'backend-gpujs',
    platforms,
    () => import('@batchnorm/backend-gpujs'),
    ({ createGpuJsBackend }) => createGpuJsBackend({ mode }),
  ),
  mode,
});

const wasm = (threads: number) =>
  entry(
    'backend-wasm',
    everywhere,
    () => import('@batchnorm/backend-wasm'),
    ({ createWasmBackend }) => createWasmBackend({ threads }),
  );

// biome-ignore format: one line for one backend
export const backends: Readonly<Record<string, BackendEntry>> = {
  js: entry('backend-js', everywhere, () => import('@batchnorm/backend-js'), ({ createJsBackend }) => createJsBackend()),
  'wasm-1': wasm(1),
  'wasm-2': wasm(2),
  'gpujs-cpu': gpujs('cpu', everywhere),
  'gpujs-webasm': gpujs('webasm', everywhere),
  'gpujs-headlessgl': gpujs('headlessgl', ['node']),
  'gpujs-webgl': gpujs('webgl', ['chromium']),
  'gpujs-webgl2': gpujs('webgl2', ['chromium']),
  'gpujs-webgpu': gpujs('webgpu', ['chromium']),
};

/** A new backend, of the module as this commit has it. Errors: `BACKEND_UNAVAILABLE`. */
export async function createBackend(name: string): Promise<Backend> {
  const { load, create } = backends[name]!;
  return create(await load());
}

/** The backends of a name, or of a family: 'gpujs' is every 'gpujs-…'. */
export function backendsNamed(name: string): string[] {
  return Object.keys(backends).filter((one) => one === name || one.startsWith(`${name}-`));
}
