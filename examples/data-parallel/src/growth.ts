// The program: `node growth.js [PICTURE]` fits the model to what main.js has measured, prints what a layer would take on up
// to 4,096 ranks, and draws it.
import { readFileSync, writeFileSync } from 'node:fs';
import { channelCounts, type GatherTimes, valuesOf } from './gathers.js';
import { fitted, gatherTime, layerTime, type Network, pytorchTime } from './model.js';
import { drawGrowth } from './picture.js';

type Measured = GatherTimes & { readonly job: string };

const measured: Measured[] = JSON.parse(readFileSync(new URL('../results/gathers.json', import.meta.url), 'utf8'));
const onOneHost = measured.find(({ job }) => job === '2 ranks, shared memory')!;

/** Copies through shared memory are part of what the software takes. */
const sharedMemory: Network = { latency: 0, bandwidth: Infinity };
const networks: Readonly<Record<string, Network>> = {
  'shared memory': sharedMemory,
  '100 Gbit/s, 2 µs': { latency: 2, bandwidth: 12_500 },
  '10 Gbit/s, 20 µs': { latency: 20, bandwidth: 1250 },
  '10 Gbit/s, 100 µs': { latency: 100, bandwidth: 1250 },
};
const counts = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Those of the table. */
const shownCounts = [2, 16, 128, 1024, 4096];

const points = channelCounts.map((channels, n) => ({ values: valuesOf(channels), micros: onOneHost.fast[n]! }));
const software = fitted(points, sharedMemory);
console.log(`exchange ${software.exchange.toFixed(1)} µs, value ${(1000 * software.value).toFixed(1)} ns`);
console.log('µs of one gather between two ranks of a host, measured and by the model');
console.table(
  points.map(({ values, micros }) => ({
    values,
    measured: Math.round(micros),
    model: Math.round(gatherTime(values, 2, sharedMemory, software)),
  })),
);
console.log('µs of a layer in a training step (in brackets: by PyTorch’s scheme)');
for (const channels of [64, 1024]) {
  const row = (network: Network) =>
    Object.fromEntries(
      shownCounts.map((ranks) => {
        const times = [layerTime, pytorchTime].map((time) => Math.round(time(channels, ranks, network, software)));
        return [ranks, `${times[0]} (${times[1]})`];
      }),
    );
  console.log(`${channels} channels`);
  console.table(Object.fromEntries(Object.entries(networks).map(([name, network]) => [name, row(network)])));
}

const [picture] = process.argv.slice(2);
if (picture !== undefined) {
  const lines = Object.entries(networks).map(([name, network]) => ({
    name,
    times: counts.map((ranks) => [ranks, layerTime(64, ranks, network, software)] as const),
  }));
  const n = channelCounts.indexOf(64);
  const dots = measured
    .filter(({ job, ranks }) => ranks > 1 && !job.includes('10 ms'))
    .map(({ job, ranks, fast }) => ({ name: job, ranks, micros: 2 * fast[n]! + fast[0]! }));
  writeFileSync(picture, drawGrowth(lines, dots));
}
