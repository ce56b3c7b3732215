// The modes of gpu.js: their names, in which order `auto` tries them, and what each is like.

/** In the order in which `auto` tries them; the last one always works. */
export const gpuJsModes = ['webgpu', 'webgl2', 'webgl', 'headlessgl', 'webasm', 'cpu'] as const;

/** Where gpu.js computes. */
export type GpuJsMode = (typeof gpuJsModes)[number];

/** Why `auto` did not take a mode that it tried. */
export interface RejectedMode {
  readonly mode: GpuJsMode;
  readonly reason: string;
}

export interface ModeTraits {
  /** For `Execution.engine`. */
  readonly engine: string;
  /** The `kernel.constructor.mode` of gpu.js when a kernel really runs in this mode. */
  readonly kernelMode: string;
  /** It computes in host memory: results are typed arrays, and an upload copies nothing. */
  readonly onHost: boolean;
  /** Kernels have rows of threads as a second dimension: SIMD lanes then compute once what a row has in common. */
  readonly threadRows: boolean;
  /** What a machine must have, for error messages. */
  readonly needs: string;
}

const device = { onHost: false, threadRows: false };
const webGl = { ...device, kernelMode: 'gpu' };

export const traitsOf: Readonly<Record<GpuJsMode, ModeTraits>> = {
  webgpu: { ...device, engine: 'gpu.js WebGPU', kernelMode: 'webgpu', needs: 'a browser with WebGPU and an adapter' },
  webgl2: { ...webGl, engine: 'gpu.js WebGL 2', needs: 'a browser with WebGL 2 and float textures' },
  webgl: { ...webGl, engine: 'gpu.js WebGL', needs: 'a browser with WebGL and float textures' },
  headlessgl: {
    ...webGl,
    engine: 'gpu.js headless GL',
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
