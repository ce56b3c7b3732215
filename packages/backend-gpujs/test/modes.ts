// The modes of this platform, for tests that run in each of them.
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { createGpuJsBackend, type GpuJsMode } from '../src/index.js';

export const inBrowser: boolean = 'document' in globalThis;

export const modesHere: readonly GpuJsMode[] = inBrowser
  ? ['cpu', 'webasm', 'webgl', 'webgl2', 'webgpu']
  : ['cpu', 'webasm', 'headlessgl'];

/** Describes `body` for each mode that runs here; the others are one visible skip each. */
export async function describeModes(
  modes: readonly GpuJsMode[],
  body: (mode: GpuJsMode, create: () => ReturnType<typeof createGpuJsBackend>) => void,
): Promise<void> {
  for (const mode of modes) {
    const create = () => createGpuJsBackend({ mode });
    await describeBackend(`gpujs-${mode}`, create, () => body(mode, create));
  }
}
