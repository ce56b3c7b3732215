// The program: the network learns with batch norm in jax-js's operations, then with ours; both curves side by side.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import Table from 'cli-table3';
import { initialWeights, train } from './training.js';
import { withJax } from './with-jax.js';
import { withOurs } from './with-ours.js';

const steps = 200;
const learningRate = 0.5;
const backend = await createWasmBackend({ threads: 1 });
const theirs = await train(withJax(await initialWeights(), learningRate), steps);
const ours = await train(withOurs(backend, await initialWeights(), learningRate), steps);
await backend.dispose();

const table = new Table({
  head: ['step', "loss with jax-js's operations", 'with ours'],
  colAligns: ['right', 'right', 'right'],
  style: { head: [], border: [] },
});
for (let step = 0; step < steps; step += 20) {
  table.push([step + 1, theirs.losses[step]!.toFixed(6), ours.losses[step]!.toFixed(6)]);
}
console.log(table.toString());
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
console.log(`Test accuracy: ${percent(theirs.accuracy)} and ${percent(ours.accuracy)}.`);
const difference = Math.max(...ours.losses.map((loss, step) => Math.abs(loss - theirs.losses[step]!)));
console.log(`Losses of the ${steps} steps differ by at most ${difference.toExponential(1)}.`);
