// The one list of this repository's backends: what each is called, where it runs and what it needs there. Every other
// list and table of backends is made of it. It is data alone: backends.ts loads the modules.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import type { BackendName as Family } from 'batchnorm';

/** What `batchnorm` chooses from. Each is a package. */
export type { Family };

/** A name here is a family's, or, of gpu.js, that of one of its modes. A union: a table of backends can't lack one. */
export type BackendName = Exclude<Family, 'gpujs'> | `gpujs-${GpuJsMode}`;

export type Platform = 'node' | 'chromium';

/** What not every machine has. `isolation`: a cross-origin isolated page, whose threads may share memory. */
export type Requirement = 'isolation' | 'OpenGL' | 'WebGL' | 'WebGL 2' | 'WebGPU';

/** `folder`: in packages/, and the package's name after its scope. `factory`: its function that makes the backend. */
export const families = {
  js: { folder: 'backend-js', factory: 'createJsBackend' },
  wasm: { folder: 'backend-wasm', factory: 'createWasmBackend' },
  webgpu: { folder: 'backend-webgpu', factory: 'createWebGpuBackend' },
  gpujs: { folder: 'backend-gpujs', factory: 'createGpuJsBackend' },
} as const;

interface Facts {
  /** For people, on the page. */
  readonly title: string;
  readonly platforms: readonly Platform[];
  readonly needs: readonly Requirement[];
  /** Kit, bench and tour try each of these counts of threads; without it, the count that the backend chooses. */
  readonly threads?: readonly number[];
}

/** `options`: what the factory is called with. */
export type RegistryEntry = Facts &
  (
    | { readonly family: Exclude<Family, 'gpujs'>; readonly options: Readonly<Record<string, never>> }
    | { readonly family: 'gpujs'; readonly options: { readonly mode: GpuJsMode } }
  );

const everywhere: Platform[] = ['node', 'chromium'];

function gpujs(mode: GpuJsMode, engine: string, platforms: Platform[], ...needs: Requirement[]): RegistryEntry {
  return { family: 'gpujs', title: `gpu.js, ${engine}`, options: { mode }, platforms, needs };
}

// biome-ignore format: one line for one backend
export const registry: Readonly<Record<BackendName, RegistryEntry>> = {
  js: { family: 'js', title: 'Plain JavaScript', options: {}, platforms: everywhere, needs: [] },
  wasm: { family: 'wasm', title: 'WebAssembly', options: {}, platforms: everywhere, needs: [], threads: [1, 2] },
  webgpu: { family: 'webgpu', title: 'WebGPU', options: {}, platforms: everywhere, needs: ['WebGPU'] },
  'gpujs-cpu': gpujs('cpu', 'JavaScript', everywhere),
  'gpujs-webasm': gpujs('webasm', 'WebAssembly', everywhere),
  'gpujs-headlessgl': gpujs('headlessgl', 'headless GL', ['node'], 'OpenGL'),
  'gpujs-webgl': gpujs('webgl', 'WebGL', ['chromium'], 'WebGL'),
  'gpujs-webgl2': gpujs('webgl2', 'WebGL 2', ['chromium'], 'WebGL 2'),
  'gpujs-webgpu': gpujs('webgpu', 'WebGPU', ['chromium'], 'WebGPU'),
};

/** The names in the registry of what runs on a platform. */
export function registeredOn(platform: Platform): BackendName[] {
  const names = Object.keys(registry) as BackendName[];
  return names.filter((name) => registry[name].platforms.includes(platform));
}
