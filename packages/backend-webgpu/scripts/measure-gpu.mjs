// How near each pass comes to the memory bandwidth of the adapter that Node finds, and PyTorch CUDA's batch norm beside
// it where there is one. `pnpm --filter @batchnorm/backend-webgpu measure-gpu [FILE.json]`; takes some two minutes on a
// GPU.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { BatchNorm } from '@batchnorm/core-api';
import { createWebGpuBackend } from '../dist/index.js';

const shapes = [
  [1024, 256],
  [4096, 512],
  [16384, 1024],
  [65536, 1024],
  [32, 64, 56, 56],
  [128, 256, 56, 56],
];
const rounds = 9;
/** A round is as many calls as take this long, in ms. */
const atLeast = 60;

/** Activations that each operation reads or writes at least once, if a cache keeps nothing. */
const streams = { 'forward-training': 3, 'forward-inference': 2, backward: 5, copy: 2 };

const backend = await createWebGpuBackend({ powerPreference: 'high-performance' });
const { device } = backend;
console.log(backend.execution.device, `, buffers of up to ${backend.capabilities.limits.elements * 4} bytes`);

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** µs per call of each operation, in rounds that take turns; `submit` does not wait. */
async function timesOf(operations) {
  const counts = {};
  const run = async (submit, count) => {
    const begin = performance.now();
    for (let n = 0; n < count; n++) await submit();
    await device.queue.onSubmittedWorkDone();
    return performance.now() - begin;
  };
  for (const [name, submit] of Object.entries(operations)) {
    let count = 1;
    while ((await run(submit, count)) < atLeast) count *= 2;
    counts[name] = count;
  }
  const times = Object.fromEntries(Object.keys(operations).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, submit] of Object.entries(operations)) {
      times[name].push(((await run(submit, counts[name])) * 1000) / counts[name]);
    }
  }
  return times;
}

const results = [];
for (const shape of shapes) {
  const elements = shape.reduce((a, b) => a * b, 1);
  if (elements > backend.capabilities.limits.elements) continue;
  const data = Float32Array.from({ length: elements }, (_, k) => ((k * 7919) % 1024) / 512 - 1);
  const layer = new BatchNorm({ backend, numFeatures: shape[1], trackRunningStatistics: true });
  const tensors = { x: await backend.upload({ data, shape }), dy: await backend.upload({ data, shape }) };
  const out = { y: await layer.forward(tensors.x), gradients: await layer.backward(tensors.dy) };
  const times = await timesOf({
    copy: () => {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(tensors.x.buffer, 0, out.y.buffer, 0, elements * 4);
      device.queue.submit([encoder.finish()]);
    },
    'forward-training': async () => {
      await layer.forward(tensors.x, { out: out.y });
    },
    backward: async () => {
      await layer.backward(tensors.dy, { out: out.gradients });
    },
    'forward-inference': async () => {
      await layer.forward(tensors.x, { training: false, out: out.y });
      await layer.forward(tensors.x, { training: false, out: out.y });
    },
  });
  times['forward-inference'] = times['forward-inference'].map((time) => time / 2);
  const bandwidth = (name) => (streams[name] * elements * 4) / (median(times[name]) * 1000);
  for (const name of Object.keys(times)) {
    const share = bandwidth(name) / bandwidth('copy');
    results.push({
      shape,
      operation: name,
      microseconds: times[name],
      gigabytesPerSecond: bandwidth(name),
      ofCopy: share,
    });
    console.log(
      shape.join('×').padEnd(16),
      name.padEnd(18),
      `${median(times[name]).toFixed(1)} µs [${Math.min(...times[name]).toFixed(1)}, ${Math.max(...times[name]).toFixed(1)}]`,
      `${bandwidth(name).toFixed(0)} GB/s, ${(100 * share).toFixed(0)} % of a copy`,
    );
  }
  await layer.dispose();
  for (const one of [tensors.x, tensors.dy, out.y, out.gradients.dx]) one.dispose();
}

const pytorch = spawnSync('python3', ['-c', pytorchProgram(shapes)], { encoding: 'utf8' });
const there =
  pytorch.status === 0 ? JSON.parse(pytorch.stdout) : { unavailable: pytorch.stderr?.trim().split('\n').at(-1) };
console.log('PyTorch CUDA:', there.unavailable ?? there);
const [, , file] = process.argv;
if (file) writeFileSync(file, JSON.stringify({ device: backend.execution.device, results, pytorch: there }, null, 2));
await backend.dispose();

function pytorchProgram(shapes) {
  return `
import json, time, torch
assert torch.cuda.is_available(), 'no CUDA'
results = {}
for shape in ${JSON.stringify(shapes)}:
    x = torch.randn(shape, device='cuda', requires_grad=True)
    dy = torch.randn(shape, device='cuda')
    layer = torch.nn.BatchNorm1d(shape[1]).cuda() if len(shape) == 2 else torch.nn.BatchNorm2d(shape[1]).cuda()
    def timed(run):
        for _ in range(5): run()
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(50): run()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) * 1e6 / 50
    y = layer(x)
    results['x'.join(map(str, shape))] = {
        'forward-training': timed(lambda: layer(x)),
        'backward': timed(lambda: torch.autograd.grad(y, [x, layer.weight, layer.bias], dy, retain_graph=True)),
    }
print(json.dumps({'version': torch.__version__, 'device': torch.cuda.get_device_name(), 'microseconds': results}))
`;
}
