// How near each operation, and each pass of it, comes to the speed at which the adapter that Node finds copies a buffer,
// and PyTorch CUDA's batch norm beside it where there is one:
//
//   pnpm --filter @batchnorm/backend-webgpu measure-gpu [--shape 4096x512,32x64x56x56] [--json FILE]
//
// On a GPU it takes some two minutes. No shape begins after `budget` seconds, and a shape takes no round after them.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { BatchNorm } from '@batchnorm/core-api';
import { create } from 'webgpu';
import { createWebGpuBackend } from '../dist/index.js';
import { watchedEncoder } from './watched-encoder.mjs';

const { values: flags } = parseArgs({
  options: {
    shape: { type: 'string', default: '1024x256,4096x512,16384x1024,65536x1024,32x64x56x56,128x256x56x56' },
    budget: { type: 'string', default: '120' },
    json: { type: 'string' },
  },
});
const shapes = flags.shape.split(',').map((shape) => shape.split('x').map(Number));
const deadline = performance.now() + Number(flags.budget) * 1000;
const isOver = () => performance.now() > deadline;

const rounds = 9;
/** A round is as many calls as take this long, in ms. */
const atLeast = 60;

/** Activations that are read or written by each operation if a cache keeps nothing, and by each pass at all. */
const streams = {
  copy: 2,
  'forward-training': 3,
  'forward-inference': 2,
  backward: 5,
  momentSums: 1,
  normalize: 2,
  gradientSums: 2,
  inputGradient: 3,
};

// A global, because Dawn ends the process when its instance is collected.
globalThis.dawn = create(['enable-dawn-features=allow_unsafe_apis', 'disable-dawn-features=timestamp_quantization']);
const adapter = await dawn.requestAdapter({ powerPreference: 'high-performance' });
if (!adapter) throw new Error('there is no adapter: this needs a Vulkan, Metal or Direct3D 12 driver');
const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
const device = await adapter.requestDevice({
  requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  requiredFeatures: ['timestamp-query'].filter((feature) => adapter.features.has(feature)),
});
const backend = await createWebGpuBackend({ device });
console.log(`${backend.execution.device}, buffers of up to ${backend.capabilities.limits.elements * 4} bytes`);

const results = [];
for (const shape of shapes) {
  const elements = shape.reduce((a, b) => a * b, 1);
  if (elements > backend.capabilities.limits.elements || isOver()) {
    console.log(nameOf(shape), 'is left out:', isOver() ? 'no time' : 'no room');
    continue;
  }
  const data = Float32Array.from({ length: elements }, (_, k) => ((k * 7919) % 1024) / 512 - 1);
  const layer = new BatchNorm({ backend, numFeatures: shape[1], trackRunningStatistics: true });
  const [x, dy] = [await backend.upload({ data, shape }), await backend.upload({ data, shape })];
  const out = { y: await layer.forward(x), gradients: await layer.backward(dy) };
  const operations = {
    'forward-training': () => layer.forward(x, { out: out.y }),
    backward: () => layer.backward(dy, { out: out.gradients }),
    'forward-inference': () => layer.forward(x, { training: false, out: out.y }),
  };
  const times = await timesOfOperations({ copy: () => copy(x, out.y, elements * 4), ...operations });
  report(shape, 'operation', times, times.copy);
  if (device.features.has('timestamp-query')) {
    const passes = await timesOfPasses([operations['forward-training'], operations.backward]);
    report(shape, 'pass', passes, times.copy);
  }
  await layer.dispose();
  for (const one of [x, dy, out.y, out.gradients.dx]) one.dispose();
}

const pytorch = measurePyTorch();
console.log('PyTorch CUDA:', pytorch.unavailable ?? pytorch);
if (flags.json) {
  writeFileSync(flags.json, `${JSON.stringify({ device: backend.execution.device, results, pytorch }, null, 2)}\n`);
}
await backend.dispose();
device.destroy();
// Dawn's threads would keep the process.
process.exit();

function nameOf(shape) {
  return shape.join('×').padEnd(16);
}

function copy(from, to, bytes) {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
  device.queue.submit([encoder.finish()]);
}

/** µs per call of each operation, in rounds that take turns; calls wait for nothing but the last one's end. */
async function timesOfOperations(operations) {
  const run = async (call, count) => {
    const begin = performance.now();
    for (let n = 0; n < count; n++) await call();
    await device.queue.onSubmittedWorkDone();
    return performance.now() - begin;
  };
  const counts = {};
  for (const [name, call] of Object.entries(operations)) {
    counts[name] = 1;
    while ((await run(call, counts[name])) < atLeast) counts[name] *= 2;
  }
  const times = Object.fromEntries(Object.keys(operations).map((name) => [name, []]));
  for (let round = 0; round < rounds && (round === 0 || !isOver()); round++) {
    for (const [name, call] of Object.entries(operations)) {
      times[name].push(((await run(call, counts[name])) * 1000) / counts[name]);
    }
  }
  return times;
}

/** µs of each pass of a step, by the device's own clock; passes of the same name are numbered. */
async function timesOfPasses(step) {
  const times = {};
  for (let round = 0; round < rounds && (round === 0 || !isOver()); round++) {
    const { encoder, submit } = watchedEncoder(device);
    await backend.encode(encoder, async () => {
      for (const call of step) await call();
    });
    const seen = {};
    for (const { label, microseconds } of await submit()) {
      const [pass] = label.split(' ');
      seen[pass] = (seen[pass] ?? 0) + 1;
      const name = seen[pass] === 1 ? pass : `${pass} ${seen[pass]}`;
      times[name] ??= [];
      times[name].push(microseconds);
    }
  }
  return times;
}

function report(shape, kind, times, copies) {
  const bytes = shape.reduce((a, b) => a * b, 4);
  const gigabytesPerSecond = (name, all) => ((streams[name] ?? 0) * bytes) / (median(all) * 1000);
  for (const [name, all] of Object.entries(times)) {
    const speed = gigabytesPerSecond(name, all);
    const ofCopy = speed / gigabytesPerSecond('copy', copies);
    results.push({ shape, [kind]: name, microseconds: all, ...(speed > 0 && { gigabytesPerSecond: speed, ofCopy }) });
    const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map((time) => time.toFixed(1));
    console.log(
      nameOf(shape),
      `${kind === 'pass' ? '  ' : ''}${name}`.padEnd(22),
      `${middle} µs [${least}, ${most}]`,
      speed > 0 ? `${speed.toFixed(1)} GB/s, ${(100 * ofCopy).toFixed(0)} % of a copy` : '',
    );
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function measurePyTorch() {
  const program = `
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
  const reasons = ['python3', '/usr/bin/python3'].map((python) => {
    const { status, stdout, stderr, error } = spawnSync(python, ['-c', program], { encoding: 'utf8', timeout: 60_000 });
    return status === 0 ? JSON.parse(stdout) : `${python}: ${error?.message ?? stderr.trim().split('\n').at(-1)}`;
  });
  return reasons.find((one) => typeof one === 'object') ?? { unavailable: reasons.join('; ') };
}
