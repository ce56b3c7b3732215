// The program: the network learns with the batch norms of TensorFlow.js, then with ours; both curves side by side.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { registerBatchNorm } from '@batchnorm/tfjs';
import '@tensorflow/tfjs-backend-cpu';
import { layers } from '@tensorflow/tfjs-layers';
import Table from 'cli-table3';
import plot from 'simple-ascii-chart';
import { digits } from './digits.js';
import { fit, type NewBatchNorm, network } from './network.js';

const epochs = 8;
const { training, test } = digits();

async function run(newBatchNorm: NewBatchNorm) {
  const model = network(newBatchNorm);
  const startedAt = performance.now();
  const curve = await fit(model, training, test, epochs);
  const seconds = (performance.now() - startedAt) / 1000;
  model.dispose();
  return { ...curve, seconds };
}

const backend = await createWasmBackend({ threads: 1 });
const BatchNorm = registerBatchNorm(backend);
const theirs = await run(() => layers.batchNormalization({ momentum: 0.9 }));
const ours = await run(() => new BatchNorm({ momentum: 0.9 }));
await backend.dispose();

const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
const steps = ours.losses.length / epochs;
const meanLoss = (losses: readonly number[], epoch: number) =>
  losses.slice(epoch * steps, (epoch + 1) * steps).reduce((sum, loss) => sum + loss, 0) / steps;
const table = new Table({
  head: ['epoch', 'loss with theirs', 'with ours', 'test accuracy with theirs', 'with ours'],
  colAligns: ['right', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [] },
});
for (let epoch = 0; epoch < epochs; epoch++) {
  table.push([
    epoch + 1,
    ...[theirs, ours].map(({ losses }) => meanLoss(losses, epoch).toFixed(6)),
    ...[theirs, ours].map(({ accuracies }) => percent(accuracies[epoch]!)),
  ]);
}
console.log(table.toString());
const points = ours.losses.map((loss, step): [number, number] => [step + 1, loss]);
console.log(
  plot(points, {
    ...{ width: 70, height: 15, title: 'Loss of each minibatch, with ours', xLabel: 'step' },
    customXAxisTicks: [0, 0.25, 0.5, 0.75, 1].map((part) => part * points.length),
    customYAxisTicks: [0, 0.5, 1, 1.5, 2],
    formatter: (value) => value,
  }),
);
const difference = Math.max(...ours.losses.map((loss, step) => Math.abs(loss - theirs.losses[step]!)));
console.log(`Losses of the ${points.length} steps differ by at most ${difference.toExponential(1)}.`);
console.log(`Took ${theirs.seconds.toFixed(1)} s with theirs, ${ours.seconds.toFixed(1)} s with ours.`);
