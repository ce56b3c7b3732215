// The program: trains one network with and without BatchNorm, shows which one won, then saves and reloads the winner.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJsBackend } from '@batchnorm/backend-js';
import { loadDigits, split } from './digits.js';
import { type Architecture, Network } from './network.js';
import { drawAccuracy } from './picture.js';
import { chart, percent, progressBar, type Run, table } from './report.js';
import { finalAccuracy, stepsTo, train } from './train.js';

const seed = 2015;
const sizes = [64, 100, 100, 100, 10];
const deviation = 0.1;
const minibatch = 60;
const steps = 800;
/** Of 0.1, 0.3, 1, 2, 3 and 5, the one at which the network without BatchNorm learns fastest: the README has the numbers. */
const learningRate = 3;
const targetAccuracy = 0.9;

const startedAt = performance.now();
const results = new URL('../results/', import.meta.url);
mkdirSync(results, { recursive: true });

const backend = await createJsBackend();
const plain: Architecture = { sizes, deviation, seed };
const normalized: Architecture = { ...plain, backend };
const { training, test } = split(loadDigits(), 360, seed);

console.log(`${training.labels.length} handwritten digits to learn from, ${test.labels.length} others to test with.`);
console.log(
  `Network ${sizes.join('-')}, sigmoid; minibatches of ${minibatch}; learning rate ${learningRate} for both.\n`,
);

const network = new Network(normalized);
const runs = [await run('with BatchNorm', network), await run('without BatchNorm', new Network(plain))] as const;

console.log(`\n${table(runs, targetAccuracy)}`);
console.log(chart(runs));
const picture = drawAccuracy(runs, targetAccuracy, {
  title: 'Handwritten digits learned with and without BatchNorm',
  subtitle: `${sizes.join('-')} sigmoid network, minibatches of ${minibatch}, learning rate ${learningRate} for both`,
});
console.log(`Picture: ${save('accuracy.svg', picture)}`);

await checkRoundTrip();
checkWinner(...runs);
console.log(`Took ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
await network.dispose();
await backend.dispose();

async function run(name: string, network: Network): Promise<Run> {
  const bar = progressBar(name, steps);
  const onStep = (step: number) => bar.update(step);
  const options = { learningRate, steps, minibatch, evaluateEvery: 10, seed, onStep };
  const history = await train(network, { training, test }, options);
  bar.stop();
  return { name, history };
}

/** Saves the network with BatchNorm, loads it into a fresh one, and has both classify the test set. */
async function checkRoundTrip(): Promise<void> {
  const path = save('batchnorm-network.json', JSON.stringify(await network.state()));
  const copy = new Network({ ...normalized, seed: seed + 1 });
  await copy.loadState(JSON.parse(readFileSync(new URL('batchnorm-network.json', results), 'utf8')));

  const expected = await network.forward(test.images, false);
  const received = await copy.forward(test.images, false);
  await copy.dispose();
  if (!received.data.every((logit, i) => Object.is(logit, expected.data[i]))) {
    fail('the network that was loaded gives other results than the network that was saved');
  } else {
    console.log(`Network: ${path}`);
    console.log(`Loaded into a fresh network, it gives all ${received.data.length} test outputs again, to the bit.`);
  }
}

function checkWinner(...[{ history: withBatchNorm }, { history: without }]: readonly [Run, Run]): void {
  if (!(finalAccuracy(withBatchNorm) > finalAccuracy(without))) fail('BatchNorm did not end at a higher test accuracy');
  if (!(stepsTo(targetAccuracy, withBatchNorm) < stepsTo(targetAccuracy, without))) {
    fail(`BatchNorm did not reach ${percent(targetAccuracy)} in fewer steps`);
  }
}

/** Returns where the file lies, as seen from the working directory. */
function save(name: string, content: string): string {
  const path = fileURLToPath(new URL(name, results));
  writeFileSync(path, content);
  return relative(process.cwd(), path);
}

function fail(message: string): void {
  console.error(`Failed: ${message}.`);
  process.exitCode = 1;
}
