// What works where this program runs: each backend is made and trains a step, or says why not.
import { createGpuJsBackend, type GpuJsMode } from '@batchnorm/backend-gpujs';
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend, type NewWorker } from '@batchnorm/backend-wasm';
import { createWebGpuBackend } from '@batchnorm/backend-webgpu';
import { type Backend, BatchNorm, BatchNormError, createBatchNorm, type MaybePromise } from '../../src/index.js';

export interface Findings {
  /** By the name of a column of docs/platforms.md: '' where it works, else why it does not. */
  readonly reasons: Readonly<Record<string, string>>;
  /** The names of errors without a code, which there must be none of. */
  readonly raw: readonly string[];
  /** Of the report of `createBatchNorm`. */
  readonly platform: string;
  readonly chosen: string;
}

const gpuModes: readonly GpuJsMode[] = ['webgl2', 'webgl'];

/** `newWorker`: for the threads of wasm, where text is no program. */
export async function probe(newWorker?: NewWorker): Promise<Findings> {
  const raw: string[] = [];

  async function reasonAgainst(create: () => MaybePromise<Backend>): Promise<string> {
    try {
      const backend = await create();
      const layer = new BatchNorm({ backend, numFeatures: 2 });
      const y = await layer.forward({ data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] });
      const { dbeta } = await layer.backward({ data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] });
      await layer.dispose();
      await backend.dispose();
      return Math.abs(y.data[0]! + 1.2247) < 1e-3 && dbeta[0] === 1 ? '' : 'computes wrong';
    } catch (error) {
      if (!(error instanceof BatchNormError)) raw.push(String(error));
      return (error as Error).message;
    }
  }

  async function reasonAgainstThreads(worker?: NewWorker): Promise<string> {
    const two = () => createWasmBackend({ threads: 2, ...(worker && { worker }) });
    try {
      const backend = await two();
      const { threads, fallbackReason } = backend.execution;
      await backend.dispose();
      return threads === 2 ? await reasonAgainst(two) : (fallbackReason ?? 'no reason');
    } catch (error) {
      return (error as Error).message;
    }
  }

  const everyOf = async (modes: readonly GpuJsMode[]) => {
    const reasons: string[] = [];
    for (const mode of modes) reasons.push(await reasonAgainst(() => createGpuJsBackend({ mode })));
    return reasons.filter(Boolean).join('; ');
  };
  const reasons = {
    js: await reasonAgainst(createJsBackend),
    wasm: await reasonAgainst(() => createWasmBackend({ threads: 1 })),
    'its threads': await reasonAgainstThreads(),
    'with `worker`': await reasonAgainstThreads(newWorker),
    webgpu: await reasonAgainst(() => createWebGpuBackend()),
    'gpujs, WebGL': await everyOf(gpuModes),
    'gpujs, webasm': await everyOf(['webasm']),
    'gpujs, cpu': await everyOf(['cpu']),
  };
  // The report of what can be chosen here is asked for with what works everywhere.
  const layer = await createBatchNorm({ numFeatures: 2, backends: ['wasm', 'webgpu', 'js'], budgetMs: 10 });
  const { platform, chosen } = layer.report;
  await layer.dispose();
  return { reasons, raw, platform, chosen };
}
