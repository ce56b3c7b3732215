// The experiment: trains one network with and without BatchNorm, shows which one won, then saves and reloads the winner.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@batchnorm/core-api';
import { type Digits, loadDigits, split } from './digits.js';
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

const results = new URL('../results/', import.meta.url);

/** Prints what it finds. Errors: an `Error` when BatchNorm does not win, or the network is not what was saved. */
export async function experiment(backend: Backend): Promise<void> {
  const startedAt = performance.now();
  mkdirSync(results, { recursive: true });
  const plain: Architecture = { sizes, deviation, seed };
  const normalized: Architecture = { ...plain, backend };
  const data = split(loadDigits(), 360, seed);
  const [digits, unseen] = [data.training.labels.length, data.test.labels.length];
  console.log(`${digits} handwritten digits to learn from, ${unseen} others to test with.`);
  console.log(
    `Network ${sizes.join('-')}, sigmoid; minibatches of ${minibatch}; learning rate ${learningRate} for both.\n`,
  );

  const network = new Network(normalized);
  const runs = [
    await run('with BatchNorm', network, data),
    await run('without BatchNorm', new Network(plain), data),
  ] as const;
  console.log(`\n${table(runs, targetAccuracy)}`);
  console.log(chart(runs));
  const picture = drawAccuracy(runs, targetAccuracy, {
    title: 'Handwritten digits learned with and without BatchNorm',
    subtitle: `${sizes.join('-')} sigmoid network, minibatches of ${minibatch}, learning rate ${learningRate} for both`,
  });
  console.log(`Picture: ${save('accuracy.svg', picture)}`);

  const copy = new Network({ ...normalized, seed: seed + 1 });
  try {
    await assertRoundTrip(network, copy, data.test);
    assertWinner(...runs);
  } finally {
    await copy.dispose();
    await network.dispose();
  }
  console.log(`Took ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
}

async function run(name: string, network: Network, data: ReturnType<typeof split>): Promise<Run> {
  const bar = progressBar(name, steps);
  const onStep = (step: number) => bar.update(step);
  const options = { learningRate, steps, minibatch, evaluateEvery: 10, seed, onStep };
  const history = await train(network, data, options);
  bar.stop();
  return { name, history };
}

/** Saves the network, loads it into a fresh one, and has both classify the test set. */
async function assertRoundTrip(network: Network, copy: Network, { images }: Digits): Promise<void> {
  const path = save('batchnorm-network.json', JSON.stringify(await network.state()));
  await copy.loadState(JSON.parse(readFileSync(new URL('batchnorm-network.json', results), 'utf8')));
  const expected = await network.forward(images, false);
  const received = await copy.forward(images, false);
  if (!received.data.every((logit, i) => Object.is(logit, expected.data[i]))) {
    throw new Error('the network that was loaded gives other results than the network that was saved');
  }
  console.log(`Network: ${path}`);
  console.log(`Loaded into a fresh network, it gives all ${received.data.length} test outputs again, to the bit.`);
}

function assertWinner(...[{ history: withBatchNorm }, { history: without }]: readonly [Run, Run]): void {
  if (!(finalAccuracy(withBatchNorm) > finalAccuracy(without))) {
    throw new Error('BatchNorm did not end at a higher test accuracy');
  }
  if (!(stepsTo(targetAccuracy, withBatchNorm) < stepsTo(targetAccuracy, without))) {
    throw new Error(`BatchNorm did not reach ${percent(targetAccuracy)} in fewer steps`);
  }
}

/** Returns where the file lies, as seen from the working directory. */
function save(name: string, content: string): string {
  const path = fileURLToPath(new URL(name, results));
  writeFileSync(path, content);
  return relative(process.cwd(), path);
}
