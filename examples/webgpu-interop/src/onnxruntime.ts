// ONNX Runtime Web: its sessions read and write the buffers that a training step between them has, on its device.
import { createWebGpuBackend } from '@batchnorm/backend-webgpu';
import { BatchNorm } from '@batchnorm/core-api';
import { elementwiseModel } from './onnx-model.js';
import { length, numFeatures, type Results, shape, signal, target } from './program.js';

/** What this program needs of onnxruntime-web, which is installed apart (see package.json). */
interface OnnxRuntime {
  readonly env: { readonly webgpu: { readonly device: Promise<GPUDevice> } };
  readonly InferenceSession: {
    create(model: Uint8Array, options: { executionProviders: readonly string[] }): Promise<Session>;
  };
  readonly Tensor: {
    fromGpuBuffer(buffer: GPUBuffer, options: { dataType: 'float32'; dims: readonly number[] }): object;
  };
}

interface Session {
  run(feeds: Readonly<Record<string, object>>, fetches: Readonly<Record<string, object>>): Promise<unknown>;
  release(): Promise<void>;
}

const address = 'onnxruntime/node_modules/onnxruntime-web/dist/ort.webgpu.bundle.min.mjs';

export async function run(): Promise<Results> {
  const ort: OnnxRuntime = await import(/* @vite-ignore */ new URL(address, document.baseURI).href);
  const session = (model: Uint8Array) => ort.InferenceSession.create(model, { executionProviders: ['webgpu'] });
  const toFeatures = await session(
    elementwiseModel(
      [
        ['Mul', ['signal', 'three'], 'product'],
        ['Add', ['product', 'hundred'], 'x'],
      ],
      { inputs: ['signal'], output: 'x', shape, constants: { three: 3, hundred: 100 } },
    ),
  );
  const toGradient = await session(
    elementwiseModel([['Sub', ['y', 'target'], 'dy']], { inputs: ['y', 'target'], output: 'dy', shape }),
  );
  const device = await ort.env.webgpu.device;
  const backend = await createWebGpuBackend({ device });
  const layer = new BatchNorm({ backend, numFeatures });

  /** A buffer of this program, as both see it. */
  const elements = async (initial: Float32Array = new Float32Array(length)) => {
    const tensor = await backend.upload({ data: initial, shape });
    return { tensor, ofRuntime: ort.Tensor.fromGpuBuffer(tensor.buffer, { dataType: 'float32', dims: shape }) };
  };
  const [inputs, targets] = [await elements(signal), await elements(target)];
  const [x, y, dy, dx] = [await elements(), await elements(), await elements(), await elements()];

  await toFeatures.run({ signal: inputs.ofRuntime }, { x: x.ofRuntime });
  await layer.forward(x.tensor, { out: y.tensor });
  await toGradient.run({ y: y.ofRuntime, target: targets.ofRuntime }, { dy: dy.ofRuntime });
  await layer.backward(dy.tensor, { out: { dx: dx.tensor } });

  const results = {
    y: (await y.tensor.read()) as Float32Array,
    dx: (await dx.tensor.read()) as Float32Array,
  };
  await layer.dispose();
  await backend.dispose();
  for (const one of [toFeatures, toGradient]) await one.release();
  return results;
}
