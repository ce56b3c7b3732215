// One rank that times gathers: `mpirun -np N node gather-times.js FILE`. Rank 0 writes `GatherTimes` into FILE.
import { writeFileSync } from 'node:fs';
import { createMpiCollective } from '@batchnorm/collective-mpi';
import { channelCounts, type GatherTimes, quantile, valuesOf } from './gathers.js';

const [file] = process.argv.slice(2);
const collective = await createMpiCollective();
/** Too many for a slow network, which tells after fewer. */
const longest = 2000;

const [fast, median]: [number[], number[]] = [[], []];
for (const channels of channelCounts) {
  const values = new Float64Array(valuesOf(channels));
  const times: number[] = [];
  const begin = performance.now();
  for (let call = 0; call < 300; call++) {
    const before = performance.now();
    await collective.allGather(values);
    times.push(1000 * (performance.now() - before));
    // Rank 0 alone looks at its clock: all must agree how often they gather.
    const isEnough = collective.rank === 0 && performance.now() - begin > longest;
    if (call % 50 === 49 && (await collective.allGather(Float64Array.of(+isEnough)))[0]![0] === 1) break;
  }
  fast.push(quantile(times.slice(20), 0.1));
  median.push(quantile(times.slice(20), 0.5));
}
if (collective.rank === 0) {
  const result: GatherTimes = { ranks: collective.size, fast, median };
  writeFileSync(file!, JSON.stringify(result));
}
await collective.dispose();
