// The program: one network in ONNX Runtime in each of the ways to have its batch norms, with accuracy and difference.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import Table from 'cli-table3';
import { logitsOfPyTorch, model } from './files.js';
import { digits, readParameters, withAffine, withLayers, withNodes } from './network.js';
import type { Tensor } from './onnx-model.js';
import { howToInstall, isInstalled, type Session } from './onnxruntime.js';

if (!isInstalled) {
  console.error(`ONNX Runtime Web is not installed: ${howToInstall}`);
  process.exit(1);
}
const backend = await createWasmBackend({ threads: 1 });
const parameters = await readParameters(await model());
const { training, test } = digits();
const expected = await logitsOfPyTorch();
const table = new Table({
  head: ['batch norms', `of ${test.labels.length} test digits`, 'farthest logit from PyTorch'],
  colAligns: ['left', 'right', 'right'],
  style: { head: [], border: [] },
});

const largestDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((largest, value, k) => Math.max(largest, Math.abs(value - b[k]!)), 0);

function countCorrect({ data, shape }: Tensor): number {
  const classes = shape[1]!;
  return test.labels.filter((label, n) => {
    const own = data.subarray(n * classes, (n + 1) * classes);
    return own.indexOf(Math.max(...own)) === label;
  }).length;
}

async function measure(name: string, session: Session): Promise<void> {
  const logits = await session.run(test.images);
  table.push([name, countCorrect(logits), largestDifference(logits.data, expected).toExponential(1)]);
}

const [nodes, affine, split] = [
  await withNodes(parameters),
  await withAffine(parameters),
  await withLayers(parameters, backend),
];
await measure("ONNX Runtime's", nodes);
await measure('scale and shift', affine);
await measure('ours, between sessions', split);
await split.recalibrate(training.images);
await measure(`ours, recalibrated on ${training.labels.length} training digits`, split);
console.log(table.toString());
for (const session of [nodes, affine, split]) await session.release();
await backend.dispose();
