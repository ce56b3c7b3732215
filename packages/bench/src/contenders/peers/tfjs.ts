// TensorFlow.js as a contender, on any of its backends: `moments` and `batchNorm`, and their gradients. It is no
// dependency: what is used of it is typed here.
import type { FloatArray } from '@batchnorm/core-api';
import { epsilon, type Results, type Workload } from '../../cases/workload.js';
import { timed } from '../../timing/clock.js';
import { type Entrant, type TimedCall, Unavailable } from '../contender.js';

interface TfTensor {
  data(): Promise<FloatArray>;
  dispose(): void;
}

export interface Tf {
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
  valueAndGrads(
    f: (...inputs: TfTensor[]) => TfTensor,
  ): (inputs: TfTensor[], dy: TfTensor) => { value: TfTensor; grads: TfTensor[] };
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  tidy<T>(f: () => T): T;
}

const engines = { cpu: 'tfjs JavaScript', wasm: 'tfjs WebAssembly', webgpu: 'tfjs WebGPU' } as const;
export type TfBackend = keyof typeof engines;

type Tensors = Readonly<Record<string, TfTensor>>;

/**
 * Each call makes its results anew: tfjs has no buffers to write into. Its wasm and webgpu backends copy arrays in and
 * out.
 */
export async function enterTfjs(
  load: () => Promise<Tf> | Tf,
  backend: TfBackend,
  { extent, dtype, ...workload }: Workload,
): Promise<Entrant> {
  if (dtype !== 'float32') throw new Unavailable(`tfjs has no ${dtype}`);
  if (extent.inner !== 1) throw new Unavailable("tfjs's batchNorm takes channels-last");
  const tf = await load();
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
  const step = tf.valueAndGrads((x, gamma, beta) => normalize(x!, gamma!, beta!));
  const work: Partial<Record<TimedCall['operation'], (x: TfTensor, dy: () => TfTensor) => Tensors>> = {
    'forward-training': (x) => ({ y: normalize(x, gamma, beta) }),
    'forward-inference': (x) => ({ y: tf.batchNorm(x, mean, variance, beta, gamma, epsilon) }),
    'training-step': (x, dy) => {
      const { value, grads } = step([x, gamma, beta], dy());
      const [dx, dgamma, dbeta] = grads as [TfTensor, TfTensor, TfTensor];
      return { y: value, dx, dgamma, dbeta };
    },
  };
  /** What `use` makes of the results of `compute`, which are freed then. */
  const computed = async <T>(compute: () => Tensors, use: (tensors: Tensors) => Promise<T>): Promise<T> => {
    // It has one backend at a time for the whole process, and another contender may have set its own; setting the same is
    // cheap.
    await tf.setBackend(backend);
    const tensors = tf.tidy(compute);
    const result = await use(tensors);
    for (const tensor of Object.values(tensors)) tensor.dispose();
    return result;
  };
  const calls = Object.entries(work).flatMap(([name, compute]): TimedCall[] => {
    const operation = name as TimedCall['operation'];
    let results: Results = {};
    const host: TimedCall = {
      operation,
      memory: 'host',
      run: async () => {
        const bring = () => compute(tf.tensor(workload.x, shape), () => tf.tensor(workload.dy, shape));
        results = await computed(bring, read);
      },
      results: () => results,
    };
    const there = () => compute(x, () => dy);
    const device: TimedCall = {
      operation,
      memory: 'device',
      run: () => computed(there, (tensors) => settle(tf, tensors)),
      results: () => computed(there, read),
    };
    return backend === 'cpu' ? [host] : [host, device];
  });
  return {
    description: {
      version: tf.version.tfjs,
      engine: engines[backend],
      threads: 1,
      accumulation: undefined,
      creation,
      preparation: 0,
    },
    calls,
    dispose: async () => {
      await tf.setBackend(backend);
      for (const tensor of [gamma, beta, mean, variance, x, dy]) tensor.dispose();
    },
  };
}

async function read(tensors: Tensors): Promise<Results> {
  return Object.fromEntries(
    await Promise.all(Object.entries(tensors).map(async ([name, tensor]) => [name, await tensor.data()])),
  );
}

/**
 * Reads dgamma and dbeta, as ours do (see on-kernels.ts); where there are none, one number of y. On WebGPU nothing is
 * submitted before somebody reads.
 */
async function settle(tf: Tf, { y, dgamma, dbeta }: Tensors): Promise<void> {
  const read = dgamma && dbeta ? [dgamma, dbeta] : [tf.slice(y!, [0, 0], [1, 1])];
  await Promise.all(read.map((tensor) => tensor.data()));
  if (!dgamma) read[0]!.dispose();
}
