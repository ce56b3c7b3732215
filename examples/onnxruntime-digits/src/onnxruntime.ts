// What this example needs of onnxruntime-web, which is installed apart (see package.json).
import { existsSync } from 'node:fs';
import type { Tensor } from './onnx-model.js';

export interface Session {
  /** y of x. */
  run(x: Tensor): Promise<Tensor>;
  release(): Promise<void>;
}

interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads: number } };
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: readonly string[] },
    ): Promise<{
      run(feeds: { x: object }): Promise<{ y: { data: Float32Array; dims: readonly number[] } }>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => object;
}

const library = new URL('../onnxruntime/node_modules/onnxruntime-web/dist/ort.node.min.mjs', import.meta.url);

export const isInstalled: boolean = existsSync(library);
export const howToInstall = 'pnpm --filter @batchnorm/example-onnxruntime-digits install:onnxruntime';

/** On one thread, so that a session's threads keep no process alive. */
export async function openSession(model: Uint8Array): Promise<Session> {
  const ort: OnnxRuntime = await import(library.href);
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  return {
    async run({ data, shape }) {
      const { y } = await session.run({ x: new ort.Tensor('float32', data, shape) });
      return { data: y.data, shape: y.dims };
    },
    release: () => session.release(),
  };
}
