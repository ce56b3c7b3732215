// TypeGPU: a training step in the middle of its pipelines, all in one command encoder, on its device and in its buffers.
import { createWebGpuBackend } from '@batchnorm/backend-webgpu';
import { BatchNorm } from '@batchnorm/core-api';
import tgpu, { d } from 'typegpu';
import { length, numFeatures, type Results, shape, signal, target } from './program.js';

const Elements = d.arrayOf(d.f32, length);
const layout = tgpu.bindGroupLayout({
  a: { storage: Elements },
  b: { storage: Elements },
  result: { storage: Elements, access: 'mutable' },
});
const invocation = { in: { id: d.builtin.globalInvocationId }, workgroupSize: [64] };
const workgroups = length / 64;

const toFeatures = tgpu.computeFn(invocation)`{
  layout.$.result[in.id.x] = 3.0 * layout.$.a[in.id.x] + 100.0;
}`.$uses({ layout });
const toGradient = tgpu.computeFn(invocation)`{
  layout.$.result[in.id.x] = layout.$.a[in.id.x] - layout.$.b[in.id.x];
}`.$uses({ layout });

export async function run(): Promise<Results> {
  const root = await tgpu.init();
  const backend = await createWebGpuBackend({ device: root.device });
  const layer = new BatchNorm({ backend, numFeatures });

  const elements = (initial?: Float32Array) => {
    const buffer = root.createBuffer(Elements, initial && [...initial]).$usage('storage');
    return { buffer, tensor: () => backend.wrap(root.unwrap(buffer), shape) };
  };
  const [inputs, targets] = [elements(signal), elements(target)];
  const [x, y, dy, dx] = [elements(), elements(), elements(), elements()];
  const tensors = { x: await x.tensor(), y: await y.tensor(), dy: await dy.tensor(), dx: await dx.tensor() };
  const features = root
    .createComputePipeline({ compute: toFeatures })
    .with(root.createBindGroup(layout, { a: inputs.buffer, b: targets.buffer, result: x.buffer }));
  const gradient = root
    .createComputePipeline({ compute: toGradient })
    .with(root.createBindGroup(layout, { a: y.buffer, b: targets.buffer, result: dy.buffer }));

  const encoder = root.device.createCommandEncoder();
  await backend.encode(encoder, async () => {
    features.with(encoder).dispatchWorkgroups(workgroups);
    await layer.forward(tensors.x, { out: tensors.y });
    gradient.with(encoder).dispatchWorkgroups(workgroups);
    await layer.backward(tensors.dy, { out: { dx: tensors.dx } });
  });
  root.device.queue.submit([encoder.finish()]);

  const results = { y: Float32Array.from(await y.buffer.read()), dx: Float32Array.from(await dx.buffer.read()) };
  await layer.dispose();
  await backend.dispose();
  root.destroy();
  return results;
}
