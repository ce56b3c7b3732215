// The network of train.py, thrice convolution, batch norm, ReLU and pooling, then a linear layer; read from its file.
import { readFileSync } from 'node:fs';
import { type Backend, BatchNorm, calibrate } from '@batchnorm/core-api';
import { fold, fromPyTorch, openSafetensors, type PyTorchHyperparameters, type TensorFile } from '@batchnorm/weights';
import { convolve, type Images, linear, type Parameters, pool, rectify } from './images.js';

export interface Stage {
  readonly convolution: Parameters;
  /** Absent where the convolution does what it did. */
  readonly batchNorm?: BatchNorm;
}

export interface Network {
  readonly stages: readonly Stage[];
  readonly output: Parameters;
}

const model = readFileSync(new URL('../model/model.safetensors', import.meta.url));

/** `hyperparameters` in place of those with which train.py made its batch norms. */
export async function loadNetwork(backend: Backend, hyperparameters?: PyTorchHyperparameters): Promise<Network> {
  const file = await openSafetensors(model);
  const given = hyperparameters ?? JSON.parse(file.metadata.get('batch_norms')!);
  const stages = [1, 2, 3].map(async (n) => ({
    convolution: { weight: await floats(file, `conv${n}.weight`) },
    batchNorm: await loadBatchNorm(file, `bn${n}`, given, backend),
  }));
  const output = { weight: await floats(file, 'output.weight'), bias: await floats(file, 'output.bias') };
  return { stages: await Promise.all(stages), output };
}

async function loadBatchNorm(
  file: TensorFile,
  name: string,
  hyperparameters: PyTorchHyperparameters,
  backend: Backend,
): Promise<BatchNorm> {
  const [weight, bias, running_mean, running_var, num_batches_tracked] = await Promise.all(
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((own) => file.read(`${name}.${own}`)),
  );
  const stateDict = { weight, bias, running_mean, running_var, num_batches_tracked };
  const { options, state } = fromPyTorch(stateDict, hyperparameters);
  const layer = new BatchNorm({ backend, dtype: 'float64', ...options });
  await layer.loadState(state);
  return layer;
}

/** A float32 tensor of a file. */
export async function floats(file: TensorFile, name: string): Promise<Parameters['weight']> {
  const { data, shape } = await file.read(name);
  if (!(data instanceof Float32Array)) throw new TypeError(`${name} is not float32`);
  return { data, shape };
}

/** Logits, [N, 10, 1, 1]. */
export async function infer({ stages, output }: Network, images: Images): Promise<Images> {
  let x = images;
  for (const stage of stages) x = await through(stage, convolve(x, stage.convolution));
  return linear(x, output);
}

/** What follows the convolution of a stage; x is written over. */
async function through({ batchNorm }: Stage, x: Images): Promise<Images> {
  await batchNorm?.forward(x, { training: false, out: x });
  return pool(rectify(x));
}

export async function resetStatistics({ stages }: Network): Promise<void> {
  for (const { batchNorm } of stages) await batchNorm?.resetRunningStatistics();
}

/** Running statistics are then those of `images`: of each layer with the layers before it calibrated. */
export async function recalibrate({ stages }: Network, images: Images): Promise<void> {
  let x = images;
  for (const stage of stages) {
    const convolved = convolve(x, stage.convolution);
    if (stage.batchNorm) await calibrate(stage.batchNorm, batchesOf(convolved, 100));
    x = await through(stage, convolved);
  }
}

function* batchesOf({ data, shape: [N, ...rest] }: Images, size: number): Generator<Images> {
  const each = data.length / N;
  for (let n = 0; n < N; n += size) {
    yield { data: data.subarray(n * each, (n + size) * each), shape: [Math.min(size, N - n), ...rest] };
  }
}

/** Without batch norms: each is in the convolution before it. */
export async function foldNetwork({ stages, output }: Network): Promise<Network> {
  const folded = stages.map(async ({ convolution, batchNorm }) => ({
    convolution: batchNorm ? fold({ ...convolution, layout: 'OIHW' }, await batchNorm.state()) : convolution,
  }));
  return { stages: await Promise.all(folded), output };
}

export async function dispose({ stages }: Network): Promise<void> {
  for (const { batchNorm } of stages) await batchNorm?.dispose();
}
