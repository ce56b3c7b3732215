// The backends that the page knows, by the names of `pnpm conformance`. A new one is an entry here and one in create-backend.ts.

interface Entry {
  /** For people. */
  readonly title: string;
  /** Where a program imports its factory from. */
  readonly package: string;
  readonly factory: string;
  /** The arguments of the factory, as code. */
  readonly options: string;
}

const gpujs = (title: string, mode: string): Entry => ({
  title: `gpu.js, ${title}`,
  package: '@batchnorm/backend-gpujs',
  factory: 'createGpuJsBackend',
  options: `{ mode: '${mode}' }`,
});

export const backends = {
  js: { title: 'Plain JavaScript', package: '@batchnorm/backend-js', factory: 'createJsBackend', options: '' },
  wasm: { title: 'WebAssembly', package: '@batchnorm/backend-wasm', factory: 'createWasmBackend', options: '' },
  'gpujs-cpu': gpujs('JavaScript', 'cpu'),
  'gpujs-webasm': gpujs('WebAssembly', 'webasm'),
  'gpujs-webgl': gpujs('WebGL', 'webgl'),
  'gpujs-webgl2': gpujs('WebGL 2', 'webgl2'),
  'gpujs-webgpu': gpujs('WebGPU', 'webgpu'),
} as const satisfies Readonly<Record<string, Entry>>;

export type BackendName = keyof typeof backends;

export const backendNames = Object.keys(backends) as readonly BackendName[];
