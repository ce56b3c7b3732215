// The modes of gpu.js: what they are called, how they are told apart, and in which order `auto` tries them.

/** From the one that is tried first to the one that always works. */
export const gpuJsModes = ['webgpu', 'webgl2', 'webgl', 'headlessgl', 'webasm', 'cpu'] as const;

export type GpuJsMode = (typeof gpuJsModes)[number];

/** Why `auto` did not take a mode that it tried. */
export interface RejectedMode {
  readonly mode: GpuJsMode;
  readonly reason: string;
}

export interface ModeTraits {
  /** For `Execution.engine`. */
  readonly engine: string;
  /** What `kernel.constructor.mode` says when this mode really runs. */
  readonly kernelMode: string;
  /** Results are typed arrays in memory that the host shares; there is nothing to upload. */
  readonly onHost: boolean;
  /** Rows of threads as a second dimension: lanes of a vector then share everything that a row has in common. */
  readonly threadRows: boolean;
  /** What a machine needs for it. */
  readonly needs: string;
}

export const traitsOf: Readonly<Record<GpuJsMode, ModeTraits>> = {
  webgpu: {
    engine: 'gpu.js WebGPU',
    kernelMode: 'webgpu',
    onHost: false,
    threadRows: false,
    needs: 'a browser with WebGPU and an adapter',
  },
  webgl2: {
    engine: 'gpu.js WebGL 2',
    kernelMode: 'gpu',
    onHost: false,
    threadRows: false,
    needs: 'a browser with WebGL 2 and float textures',
  },
  webgl: {
    engine: 'gpu.js WebGL',
    kernelMode: 'gpu',
    onHost: false,
    threadRows: false,
    needs: 'a browser with WebGL and float textures',
  },
  headlessgl: {
    engine: 'gpu.js headless GL',
    kernelMode: 'gpu',
    onHost: false,
    threadRows: false,
    needs: 'Node, the compiled package gl, and an X display on Linux',
  },
  webasm: {
    engine: 'gpu.js WebAssembly',
    kernelMode: 'webasm',
    onHost: true,
    threadRows: true,
    needs: 'WebAssembly with SIMD',
  },
  cpu: { engine: 'gpu.js JavaScript', kernelMode: 'cpu', onHost: true, threadRows: false, needs: 'JavaScript' },
};
