// The JavaScript libraries that ours are compared with, where `pnpm bench:peers` has installed them. They are no
// dependency: what is used of them is typed here.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Dtype, FloatArray } from '@batchnorm/core-api';
import { epsilon, type Results, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { type Contender, type Entrant, type TimedCall, Unavailable } from './contender.js';
import { batchNormalizationModel } from './onnx-model.js';
import { outputsFor } from './outputs.js';

const require = createRequire(new URL('../../peers/package.json', import.meta.url));

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

function peer(name: string, enter: Contender['enter']): Contender {
  return { name, kind: 'peer', platforms: ['node'], enter };
}

export const peers: readonly Contender[] = [
  peer('tfjs-cpu', (workload) => enterTfjs('cpu', workload)),
  peer('tfjs-wasm', (workload) => enterTfjs('wasm', workload)),
  peer('onnxruntime-node', (workload) => enterOnnxRuntime('onnxruntime-node', workload)),
  peer('onnxruntime-web', (workload) => enterOnnxRuntime('onnxruntime-web', workload)),
];

interface TfTensor {
  dataSync(): FloatArray;
  dispose(): void;
}

interface Tf {
  readonly version: { readonly tfjs: string };
  /** Turns off checks of every result, and greetings on the console. */
  enableProdMode(): void;
  setBackend(name: string): Promise<boolean>;
  tensor(data: FloatArray, shape?: readonly number[]): TfTensor;
  moments(x: TfTensor, axes: readonly number[]): { mean: TfTensor; variance: TfTensor };
  batchNorm(
    x: TfTensor,
    mean: TfTensor,
    variance: TfTensor,
    beta: TfTensor,
    gamma: TfTensor,
    epsilon: number,
  ): TfTensor;
  grads(f: (...inputs: TfTensor[]) => TfTensor): (inputs: TfTensor[], dy: TfTensor) => TfTensor[];
  tidy<T>(f: () => T): T;
  keep<T extends TfTensor>(tensor: T): T;
}

/** Each call makes its results anew: tfjs has no buffers to write into. Its wasm backend copies arrays in and out. */
async function enterTfjs(backend: 'cpu' | 'wasm', { extent, dtype, ...workload }: Workload): Promise<Entrant> {
  if (dtype !== 'float32') throw new Unavailable(`tfjs has no ${dtype}`);
  if (extent.inner !== 1) throw new Unavailable("tfjs's batchNorm takes channels-last");
  const tf = load<Tf>('@tensorflow/tfjs');
  if (backend === 'wasm') load('@tensorflow/tfjs-backend-wasm');
  tf.enableProdMode();
  const [found, creation] = await timed(() => tf.setBackend(backend));
  if (!found) throw new Unavailable(`tfjs's backend '${backend}' does not start here`);
  const shape = [extent.outer, extent.channels];
  const vector = (data: Float64Array) => tf.tensor(Float32Array.from(data));
  const [gamma, beta] = [vector(workload.gamma), vector(workload.beta)];
  const [mean, variance] = [vector(workload.running.mean), vector(workload.running.variance)];
  const [x, dy] = [tf.tensor(workload.x, shape), tf.tensor(workload.dy, shape)];
  const normalize = (x: TfTensor, gamma: TfTensor, beta: TfTensor) => {
    const batch = tf.moments(x, [0]);
    return tf.batchNorm(x, batch.mean, batch.variance, beta, gamma, epsilon);
  };
  const gradients = tf.grads((x, gamma, beta) => normalize(x!, gamma!, beta!));
  let results: Results = {};
  /**
   * A step computes its forward twice: tfjs differentiates a function, and does not give the value that it computed for
   * that.
   */
  const work: Partial<Record<TimedCall['operation'], (x: TfTensor, dy: () => TfTensor) => Record<string, TfTensor>>> = {
    'forward-training': (x) => ({ y: normalize(x, gamma, beta) }),
    'forward-inference': (x) => ({ y: tf.batchNorm(x, mean, variance, beta, gamma, epsilon) }),
    'training-step': (x, dy) => {
      const y = normalize(x, gamma, beta);
      const [dx, dgamma, dbeta] = gradients([x, gamma, beta], dy()) as [TfTensor, TfTensor, TfTensor];
      return { y, dx, dgamma, dbeta };
    },
  };
  const read = (tensors: Record<string, TfTensor>): Results =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, tensor.dataSync()]));
  /**
   * tfjs has one backend at a time for the whole process, and the other contender may have set its own; setting the
   * same is cheap.
   */
  const select = () => tf.setBackend(backend);
  const calls = Object.entries(work).flatMap(([name, compute]): TimedCall[] => {
    const operation = name as TimedCall['operation'];
    const host: TimedCall = {
      operation,
      memory: 'host',
      run: async () => {
        await select();
        results = tf.tidy(() => read(compute(tf.tensor(workload.x, shape), () => tf.tensor(workload.dy, shape))));
      },
      results: () => results,
    };
    const device: TimedCall = {
      operation,
      memory: 'device',
      run: async () => {
        await select();
        tf.tidy(() => compute(x, () => dy));
      },
      results: async () => {
        await select();
        return tf.tidy(() => read(compute(x, () => dy)));
      },
    };
    return backend === 'wasm' ? [host, device] : [host];
  });
  return {
    description: {
      version: tf.version.tfjs,
      engine: backend === 'wasm' ? 'tfjs WebAssembly' : 'tfjs JavaScript',
      threads: 1,
      accumulation: undefined,
      creation,
      preparation: 0,
    },
    calls,
    dispose: async () => {
      await select();
      for (const tensor of [gamma, beta, mean, variance, x, dy]) tensor.dispose();
    },
  };
}

interface OnnxTensor {
  readonly data: FloatArray;
}

interface Ort {
  readonly Tensor: new (dtype: Dtype, data: FloatArray, shape: readonly number[]) => OnnxTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<OrtSession>;
  };
  readonly env: { readonly wasm: { numThreads?: number } };
}

interface OrtSession {
  run(
    feeds: Record<string, OnnxTensor>,
    fetches: Record<string, OnnxTensor> | string[],
  ): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

/**
 * Inference only. onnxruntime-node writes into a tensor that it is given; onnxruntime-web ignores such a tensor, and
 * makes its own.
 */
async function enterOnnxRuntime(name: 'onnxruntime-node' | 'onnxruntime-web', workload: Workload): Promise<Entrant> {
  if (workload.dtype === 'float16') throw new Unavailable('float16 is timed of our backends alone');
  const ort = load<Ort>(name);
  const isWeb = name === 'onnxruntime-web';
  if (isWeb) ort.env.wasm.numThreads = 1;
  const options = { intraOpNumThreads: 1, ...(isWeb && { executionProviders: ['wasm'] }) };
  const [session, creation] = await timed(() =>
    ort.InferenceSession.create(batchNormalizationModel(workload), options),
  ).catch((error: Error) => {
    throw new Unavailable(error.message.split('\n')[0]);
  });
  const { y } = outputsFor(workload);
  const feeds = { x: new ort.Tensor(workload.dtype, workload.x, workload.shape) };
  const fetches = isWeb ? ['y'] : { y: new ort.Tensor(workload.dtype, y, workload.shape) };
  let results: Results = {};
  return {
    description: {
      version: await versionOf(name),
      engine: isWeb ? 'ONNX Runtime WebAssembly' : 'ONNX Runtime',
      threads: 1,
      accumulation: undefined,
      creation,
      preparation: 0,
    },
    calls: [
      {
        operation: 'forward-inference',
        memory: 'host',
        run: async () => {
          const output = await session.run(feeds, fetches);
          results = { y: output.y!.data };
        },
        results: () => results,
      },
    ],
    dispose: () => session.release(),
  };
}

async function versionOf(name: string): Promise<string> {
  const folder = require.resolve.paths(name)![0]!;
  const { version } = JSON.parse(await readFile(join(folder, name, 'package.json'), 'utf8')) as { version: string };
  return version;
}
