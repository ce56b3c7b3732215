// ONNX Runtime as a contender: inference of a model with one BatchNormalization, on any of its execution providers. It is
// no dependency: what is used of it is typed here.
import type { Dtype, FloatArray } from '@batchnorm/core-api';
import type { Results, Workload } from '../../cases/workload.js';
import { timed } from '../../timing/clock.js';
import { type Entrant, type TimedCall, Unavailable } from '../contender.js';
import { outputsFor } from '../outputs.js';
import { batchNormalizationModel } from './onnx-model.js';

interface OnnxTensor {
  readonly data: FloatArray;
}

export interface Ort {
  readonly Tensor: {
    new (dtype: Dtype, data: FloatArray, shape: readonly number[]): OnnxTensor;
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: Dtype; dims: readonly number[] }): OnnxTensor;
  };
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<OrtSession>;
  };
  readonly env: {
    readonly versions: { readonly common: string };
    readonly wasm: { numThreads?: number };
    /** There once a session runs on it. */
    readonly webgpu: { readonly device: Promise<GPUDevice> };
  };
}

interface OrtSession {
  run(
    feeds: Record<string, OnnxTensor>,
    fetches: Record<string, OnnxTensor> | string[],
  ): Promise<Record<string, OnnxTensor>>;
  release(): Promise<void>;
}

const engines = {
  native: 'ONNX Runtime',
  wasm: 'ONNX Runtime WebAssembly',
  webgpu: 'ONNX Runtime WebGPU',
} as const;
export type Provider = keyof typeof engines;

export async function enterOnnxRuntime(
  load: () => Promise<Ort> | Ort,
  provider: Provider,
  workload: Workload,
): Promise<Entrant> {
  const { dtype } = workload;
  if (dtype === 'float16') throw new Unavailable('float16 is timed of our backends alone');
  if (dtype === 'float64' && provider === 'webgpu') throw new Unavailable('WebGPU has no float64');
  const ort = await load();
  if (provider !== 'native') ort.env.wasm.numThreads = 1;
  const options = {
    intraOpNumThreads: 1,
    ...(provider !== 'native' && { executionProviders: [provider] }),
    // What the provider lacks would be computed elsewhere, and timed as its own.
    ...(provider === 'webgpu' && { extra: { session: { disable_cpu_ep_fallback: '1' } } }),
  };
  const [session, creation] = await timed(() =>
    ort.InferenceSession.create(batchNormalizationModel(workload), options),
  ).catch((error: Error) => {
    throw new Unavailable(error.message.split('\n')[0]);
  });
  const device = provider === 'webgpu' ? onDevice(await ort.env.webgpu.device, ort, session, workload) : undefined;
  return {
    description: {
      version: ort.env.versions.common,
      engine: engines[provider],
      threads: 1,
      accumulation: undefined,
      creation,
      preparation: 0,
    },
    calls: [onHost(ort, session, workload, provider === 'native'), ...(device ? [device.call] : [])],
    dispose: async () => {
      device?.dispose();
      await session.release();
    },
  };
}

/** The native build writes into a tensor that it is given; onnxruntime-web ignores such a tensor, and makes its own. */
function onHost(ort: Ort, session: OrtSession, workload: Workload, isWrittenInto: boolean): TimedCall {
  const { dtype, shape } = workload;
  const feeds = { x: new ort.Tensor(dtype, workload.x, shape) };
  const fetches = isWrittenInto ? { y: new ort.Tensor(dtype, outputsFor(workload).y, shape) } : ['y'];
  let results: Results = {};
  return {
    operation: 'forward-inference',
    memory: 'host',
    run: async () => {
      const output = await session.run(feeds, fetches);
      results = { y: output.y!.data };
    },
    results: () => results,
  };
}

/** STORAGE | COPY_SRC | COPY_DST, and MAP_READ | COPY_DST */
const usages = { tensor: 0x80 | 0x04 | 0x08, staging: 0x01 | 0x08 } as const;

/** From a buffer of its device into another. */
function onDevice(
  device: GPUDevice,
  ort: Ort,
  session: OrtSession,
  { dtype, shape, ...workload }: Workload,
): { readonly call: TimedCall; dispose(): void } {
  const size = workload.x.byteLength;
  const make = (usage: number) => device.createBuffer({ size, usage });
  const [x, y, staging] = [make(usages.tensor), make(usages.tensor), make(usages.staging)];
  device.queue.writeBuffer(x, 0, workload.x as Float32Array<ArrayBuffer>);
  const tensor = (buffer: GPUBuffer) => ort.Tensor.fromGpuBuffer(buffer, { dataType: dtype, dims: shape });
  const [feeds, fetches] = [{ x: tensor(x) }, { y: tensor(y) }];
  const call: TimedCall = {
    operation: 'forward-inference',
    memory: 'device',
    run: async () => {
      await session.run(feeds, fetches);
      await device.queue.onSubmittedWorkDone();
    },
    results: async () => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(y, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(1);
      const values = new Float32Array(staging.getMappedRange().slice(0));
      staging.unmap();
      return { y: values };
    },
  };
  return {
    call,
    dispose: () => {
      for (const buffer of [x, y, staging]) buffer.destroy();
    },
  };
}
