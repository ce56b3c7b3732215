// One rank: `mpirun -np N node rank.js FILE STEPS [TIMEOUT]`. Takes its rows of every minibatch, and does with the others
// what one process does with all rows. Rank 0 writes a `TrainingResult` into FILE.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createJsBackend } from '@batchnorm/backend-js';
import { createMpiCollective, sumGradients } from '@batchnorm/collective-mpi';
import { type Digits, loadDigits, minibatches, split } from '@batchnorm/example-train-digits/digits';
import { Network } from '@batchnorm/example-train-digits/network';
import { counted } from './counted.js';
import { learningRate, minibatch, seed, sizes, type TrainingResult } from './training.js';

const [file, steps, timeout = '60000'] = process.argv.slice(2);
const { collective, traffic } = counted(await createMpiCollective({ timeoutMs: Number(timeout) }));
const { rank, size } = collective;

const backend = createJsBackend();
const network = new Network({ sizes, deviation: 0.1, seed, backend, collective });
const gradients = network.parameters.map(({ gradient }) => gradient);
const { training, test } = split(loadDigits(), 360, seed);
const batches = minibatches(training, minibatch, seed);

const own = { losses: [] as number[], times: [] as number[] };
for (let step = 0; step < Number(steps); step++) {
  const { images, labels } = partOf(batches.next().value, rank, size);
  const begin = performance.now();
  own.losses.push(await network.differentiate(images, labels));
  await sumGradients(collective, gradients);
  // Each rank's loss is the mean over its rows: the mean of those, as all have as many, is that over all rows.
  network.descend(learningRate / size);
  own.times.push(performance.now() - begin);
}
const { gathers, bytes } = traffic;

const losses = await collective.allGather(Float64Array.from(own.losses));
const digests = await collective.allGather(Float64Array.of(await digest()));
if (rank === 0) {
  const result: TrainingResult = {
    ranks: size,
    losses: own.losses.map((_, step) => losses.reduce((sum, ofRank) => sum + ofRank[step]!, 0) / size),
    times: own.times,
    gathers: gathers / Number(steps),
    bytes: bytes / Number(steps),
    same: digests.every(([value]) => value === digests[0]![0]),
    accuracy: await network.accuracy(test.images, test.labels),
  };
  writeFileSync(file!, JSON.stringify(result));
}
await network.dispose();
await backend.dispose();
await collective.dispose();

/** The rows of a minibatch that are this rank's. */
function partOf({ images, labels }: Digits, rank: number, size: number): Digits {
  const [rows, pixels] = images.shape;
  const [begin, end] = [(rows * rank) / size, (rows * (rank + 1)) / size];
  return {
    images: { data: images.data.subarray(begin * pixels, end * pixels), shape: [end - begin, pixels] },
    labels: labels.subarray(begin, end),
  };
}

/** Of all that the network has learned: 48 bits. */
async function digest(): Promise<number> {
  const state = JSON.stringify(await network.state());
  return createHash('sha256').update(state).digest().readUIntBE(0, 6);
}
