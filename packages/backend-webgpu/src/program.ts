// A compiled shader.
import type { Shader } from './shaders/shader.js';

export interface Program {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  /** Its buffers, in the order of their bindings. */
  readonly names: readonly string[];
  /** Those that it writes to. */
  readonly written: ReadonlySet<string>;
}

/** Of `GPUShaderStage`, which only pages have. */
const compute = 0x4;

export function compile(device: GPUDevice, label: string, { code, bindings }: Shader): Program {
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: compute, buffer: { type: 'uniform' } },
      ...Object.values(bindings).map(({ isWritten }, index): GPUBindGroupLayoutEntry => {
        const type = isWritten ? 'storage' : 'read-only-storage';
        return { binding: index + 1, visibility: compute, buffer: { type } };
      }),
    ],
  });
  const pipeline = device.createComputePipeline({
    label,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ label, code }), entryPoint: 'main' },
  });
  const names = Object.keys(bindings);
  return { pipeline, layout, names, written: new Set(names.filter((name) => bindings[name]!.isWritten)) };
}
