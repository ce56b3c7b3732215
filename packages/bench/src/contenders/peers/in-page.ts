// The JavaScript libraries that ours are compared with in a page, on WebGPU, where `pnpm bench:peers` has installed them:
// whoever serves the page serves their files, too, below `addressOfPeers`.
import { type Contender, Unavailable } from '../contender.js';
import { enterOnnxRuntime, type Ort } from './onnxruntime.js';
import { enterTfjs, type Tf } from './tfjs.js';

/** What their folder of installed packages is called in a page. */
export const addressOfPeers = '/peers/';

/** Errors: `Unavailable` where it is not installed, or can't be loaded. */
async function load(file: string): Promise<unknown> {
  try {
    return await import(/* @vite-ignore */ new URL(addressOfPeers + file, document.baseURI).href);
  } catch (error) {
    throw new Unavailable(`${file} can't be loaded (pnpm bench:peers): ${(error as Error).message}`);
  }
}

/** Its files leave what they export in a global. */
async function loadTfjs(): Promise<Tf> {
  await load('@tensorflow/tfjs/dist/tf.min.js');
  await load('@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js');
  return (globalThis as unknown as { tf: Tf }).tf;
}

const loadOnnxRuntime = () => load('onnxruntime-web/dist/ort.webgpu.bundle.min.mjs') as Promise<Ort>;

function peer(name: string, enter: Contender['enter']): Contender {
  return { name, kind: 'peer', platforms: ['chromium'], enter };
}

export const peersInPage: readonly Contender[] = [
  peer('tfjs-webgpu', (workload) => enterTfjs(loadTfjs, 'webgpu', workload)),
  peer('onnxruntime-webgpu', (workload) => enterOnnxRuntime(loadOnnxRuntime, 'webgpu', workload)),
];
