// The program: one model of PyTorch as it was loaded, spoiled, recalibrated and folded, with the accuracy of each.
import { createJsBackend } from '@batchnorm/backend-js';
import Table from 'cli-table3';
import { digits } from './digits.js';
import { byPyTorch, countCorrect, largestDifference } from './evaluation.js';
import { dispose, foldNetwork, infer, loadNetwork, type Network, recalibrate, resetStatistics } from './network.js';

const backend = createJsBackend();
const { training, test } = digits();
const { logits: expected, correct } = await byPyTorch();
const network = await loadNetwork(backend);
const table = new Table({
  head: ['network', `of ${test.labels.length} test digits`, 'accuracy', 'farthest logit from PyTorch'],
  colAligns: ['left', 'right', 'right', 'right'],
  style: { head: [], border: [] },
});

function add(name: string, right: number, difference = ''): void {
  table.push([name, right, `${((100 * right) / test.labels.length).toFixed(1)} %`, difference]);
}

async function measure(name: string, network: Network): Promise<void> {
  const { data } = await infer(network, test.images);
  add(name, countCorrect(data, test.labels), largestDifference(data, expected).toExponential(1));
}

add('PyTorch, as it reported', correct);
await measure('loaded here', network);
await measure('folded into its convolutions', await foldNetwork(network));
await resetStatistics(network);
await measure('running statistics reset', network);
await recalibrate(network, training.images);
await measure(`recalibrated on ${training.labels.length} training digits`, network);
await measure('recalibrated, then folded', await foldNetwork(network));
console.log(table.toString());
await dispose(network);
await backend.dispose();
