// The program: the same training by one process and by several, on this host and on two, compared step by step.
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { channelCounts, type GatherTimes, quantile } from './gathers.js';
import { type Place, runJob } from './job.js';
import { learningRate, minibatch, sizes, type TrainingResult } from './training.js';
import { TwoHosts } from './two-hosts.js';

const { values } = parseArgs({ options: { steps: { type: 'string', default: '100' } } });
const { steps } = values;

/** Of a loss, anywhere: the ranks' float32 gradients are rounded before they are added. A wrong gradient is far off. */
const largestDifference = 1e-3;

/** For the model: see growth.ts. */
const results = new URL('../results/', import.meta.url);

interface Row {
  readonly job: string;
  readonly result: TrainingResult;
  readonly gathers: GatherTimes;
  /** On the cable, both directions, of all the job did. */
  readonly onCable?: number;
}

console.log(`Network ${sizes.join('-')} with BatchNorm, minibatches of ${minibatch}, learning rate ${learningRate}.`);
const rows: Row[] = [await timed('1 process', { ranks: 1 })];
const one = rows[0]!.result;
for (const ranks of [2, 4]) rows.push(await timed(`${ranks} ranks, shared memory`, { ranks }));
const skipped = await onTwoHosts();

console.table(Object.fromEntries(rows.map((row) => [row.job, columns(row)])));
console.log('µs of one gather of the moments of so many channels (0: of one number), the fastest tenth and the median');
console.table(
  Object.fromEntries(
    rows.map(({ job, gathers }) => [
      job,
      Object.fromEntries(
        channelCounts.map((count, n) => [count, `${Math.round(gathers.fast[n]!)} ${Math.round(gathers.median[n]!)}`]),
      ),
    ]),
  ),
);
for (const reason of skipped) console.log(`SKIPPED: ${reason}`);
mkdirSync(results, { recursive: true });
writeFileSync(new URL('gathers.json', results), JSON.stringify(rows.map(({ job, gathers }) => ({ job, ...gathers }))));
const wrong = rows.filter(({ result }) => !result.same || !(differenceOf(result) < largestDifference));
for (const { job } of wrong) console.error(`${job}: is not what one process computes.`);
if (wrong.length > 0) process.exitCode = 1;

/** Adds their rows; returns what could not be done here, and why. */
async function onTwoHosts(): Promise<string[]> {
  let hosts: TwoHosts;
  try {
    hosts = await TwoHosts.create();
  } catch (error) {
    return [`two hosts: ${Object(error).message}`];
  }
  try {
    for (const ranks of [2, 4]) rows.push(await timed(`${ranks} ranks, 2 hosts`, { ranks, hosts }));
    let by: string;
    try {
      by = await hosts.delay(10);
    } catch (error) {
      return [`10 ms of latency: ${Object(error).message.trim().split('\n').at(-1)}`];
    }
    rows.push(await timed(`2 ranks, 2 hosts, 10 ms by ${by}`, { ranks: 2, hosts }));
    return [];
  } finally {
    hosts.dispose();
  }
}

async function timed(job: string, place: Place): Promise<Row> {
  const before = await place.hosts?.bytes();
  const result = await runJob<TrainingResult>('rank.js', place, steps);
  const after = await place.hosts?.bytes();
  const gathers = await runJob<GatherTimes>('gather-times.js', place);
  return { job, result, gathers, ...(before !== undefined && after !== undefined && { onCable: after - before }) };
}

function columns({ result, onCable }: Row): Record<string, string | number | boolean> {
  const [fast, median] = [quantile(result.times, 0.1), quantile(result.times, 0.5)];
  return {
    'ms/step': `${fast.toFixed(1)} ${median.toFixed(1)}`,
    '× 1 process': (quantile(one.times, 0.1) / fast).toFixed(2),
    'gathers/step': result.gathers,
    'kB/step of a rank': Math.round(result.bytes / 1000),
    'kB/step on the cable': onCable === undefined ? '' : Math.round(onCable / Number(steps) / 1000),
    'loss − that of 1 process': differenceOf(result).toExponential(1),
    'after 1 step': differenceOf(result, 1).toExponential(1),
    'same bits': result.same,
    accuracy: result.accuracy.toFixed(3),
  };
}

/** The largest of the first `count` steps. */
function differenceOf({ losses }: TrainingResult, count = losses.length): number {
  return Math.max(...losses.slice(0, count).map((loss, step) => Math.abs(loss - one.losses[step]!)));
}
