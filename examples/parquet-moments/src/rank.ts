// One rank: `mpirun -np N node rank.js FOLDER FILES COLUMNS`. Each takes the files whose number is its own modulo the
// number of ranks; the moments of files are merged in the order of files, whoever has read them: the same bits for any
// number of ranks. Those of a file that is done lie beside it, so that a job that was ended goes on.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { createMpiCollective } from '@batchnorm/collective-mpi';
import { BatchNorm, type Moments, mergeMoments, readMoments, writeMoments } from '@batchnorm/core-api';
import { batchesOf, connect, fileOf } from './data.js';

const [folder, files, columns] = process.argv.slice(2);
const [count, C] = [Number(files), Number(columns)];
const collective = await createMpiCollective();
const { rank, size } = collective;
const backend = await createWasmBackend({ threads: 1 });
const layer = new BatchNorm({ backend, numFeatures: C });
const connection = await connect();

const nothing: Moments = { count: 0, mean: new Float64Array(C), m2: new Float64Array(C) };
let total = nothing;
let read = 0;
const begin = performance.now();
for (let first = 0; first < count; first += size) {
  const own = first + rank < count ? await momentsOf(fileOf(folder!, first + rank)) : nothing;
  for (const [n, ...vectors] of await collective.allGather(Float64Array.of(own.count, ...own.mean, ...own.m2))) {
    const [mean, m2] = [vectors.slice(0, C), vectors.slice(C)].map((values) => Float64Array.from(values));
    total = mergeMoments(total, { count: n!, mean: mean!, m2: m2! });
  }
  if (rank === 0) console.error(`${Math.min(first + size, count)} of ${count} files, ${seconds()} s`);
}
if (rank === 0) {
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  console.log(JSON.stringify({ moments: writeMoments(total), read, seconds: Number(seconds()), memory }));
}
await layer.dispose();
await backend.dispose();
connection.closeSync();
await collective.dispose();

function seconds(): string {
  return ((performance.now() - begin) / 1000).toFixed(1);
}

/** Of a file, read or remembered. */
async function momentsOf(path: string): Promise<Moments> {
  const checkpoint = `${path}.moments.json`;
  if (existsSync(checkpoint)) return readMoments(JSON.parse(readFileSync(checkpoint, 'utf8')), C);
  read++;
  let moments = nothing;
  for await (const batch of batchesOf(connection, path)) moments = mergeMoments(moments, await layer.moments(batch));
  writeFileSync(`${checkpoint}.new`, JSON.stringify(writeMoments(moments)));
  renameSync(`${checkpoint}.new`, checkpoint);
  return moments;
}
