// The JavaScript libraries that ours are compared with in Node, where `pnpm bench:peers` has installed them.
import { createRequire } from 'node:module';
import { type Contender, Unavailable } from '../contender.js';
import { enterOnnxRuntime, type Ort } from './onnxruntime.js';
import { enterTfjs, type Tf } from './tfjs.js';

const require = createRequire(new URL('../../../peers/package.json', import.meta.url));

/** Errors: `Unavailable` where it is not installed, or can't be loaded. */
function load<Module>(name: string): Module {
  try {
    return require(name) as Module;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Unavailable(
      code === 'MODULE_NOT_FOUND' ? `${name} is not installed: pnpm bench:peers` : message.split('\n')[0],
    );
  }
}

/** `extension`: a package that adds a backend to it. */
function loadTfjs(extension?: string): Tf {
  const tf = load<Tf>('@tensorflow/tfjs');
  if (extension) load(extension);
  return tf;
}

function peer(name: string, enter: Contender['enter']): Contender {
  return { name, kind: 'peer', platforms: ['node'], enter };
}

export const peersInNode: readonly Contender[] = [
  peer('tfjs-cpu', (workload) => enterTfjs(loadTfjs, 'cpu', workload)),
  peer('tfjs-wasm', (workload) => enterTfjs(() => loadTfjs('@tensorflow/tfjs-backend-wasm'), 'wasm', workload)),
  ...(['native', 'wasm'] as const).map((provider) => {
    const name = provider === 'native' ? 'onnxruntime-node' : 'onnxruntime-web';
    return peer(name, (workload) => enterOnnxRuntime(() => load<Ort>(name), provider, workload));
  }),
];
