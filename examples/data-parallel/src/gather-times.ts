// One rank that times gathers: `mpirun -np N node gather-times.js FILE`. Rank 0 writes `GatherTimes` into FILE.
import { writeFileSync } from 'node:fs';
import { createMpiCollective } from '@batchnorm/collective-mpi';
import { channelCounts, type GatherTimes, quantile, valuesOf } from './gathers.js';

const [file] = process.argv.slice(2);
const collective = await createMpiCollective();
/** A rank that comes last to one gather does not wait for it, but has waited before: several in a row tell. */
const inARow = 10;
const [samples, warmUp] = [50, 5];
/** Milliseconds: a slow network tells after fewer samples. */
const longest = 3000;

const [fast, median]: [number[], number[]] = [[], []];
for (const channels of channelCounts) {
  const values = new Float64Array(valuesOf(channels));
  const times: number[] = [];
  const begin = performance.now();
  for (let sample = 0; sample < samples; sample++) {
    const before = performance.now();
    for (let call = 0; call < inARow; call++) await collective.allGather(values);
    times.push((1000 * (performance.now() - before)) / inARow);
    // Rank 0 alone looks at its clock: all must agree how often they gather.
    const isEnough = sample > 2 * warmUp && performance.now() - begin > longest;
    if ((await collective.allGather(Float64Array.of(+isEnough)))[0]![0] === 1) break;
  }
  fast.push(quantile(times.slice(warmUp), 0.1));
  median.push(quantile(times.slice(warmUp), 0.5));
}
if (collective.rank === 0) {
  const result: GatherTimes = { ranks: collective.size, fast, median };
  writeFileSync(file!, JSON.stringify(result));
}
await collective.dispose();
