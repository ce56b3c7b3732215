// A rank of sync-batch-norm.test.ts: `normalise.mjs FOLDER BACKEND` trains a layer on its rows of FOLDER/input.json, and
// writes what came out to FOLDER/rank-N.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { createMpiCollective, sumGradients } from '@batchnorm/collective-mpi';
import { BatchNorm } from '@batchnorm/core-api';
import { rank } from './report.mjs';

const [folder, name] = process.argv.slice(2);
const backend = name === 'js' ? createJsBackend() : await createWasmBackend({ threads: 1 });
const { C, dtype, rows, groups, gamma, beta, steps } = JSON.parse(readFileSync(join(folder, 'input.json'), 'utf8'));
const collective = await createMpiCollective(groups ? { group: groups[rank] } : {});
const layer = new BatchNorm({ backend, numFeatures: C, dtype, momentum: 0, emptyBatch: 'pass', collective });
layer.gamma = gamma;
layer.beta = beta;

const begin = rows.slice(0, rank).reduce((sum, count) => sum + count, 0);
const own = (values) => ({
  data: (dtype === 'float32' ? Float32Array : Float64Array).from(values.slice(begin * C, (begin + rows[rank]) * C)),
  shape: [rows[rank], C],
});
const results = [];
for (const { x, dy } of steps) {
  const y = await layer.forward(own(x));
  const { dx, dgamma, dbeta } = await layer.backward(own(dy));
  await sumGradients(collective, [dgamma, dbeta]);
  const { runningMean, runningVariance } = await layer.state();
  const vectors = { y: y.data, dx: dx.data, dgamma, dbeta, runningMean, runningVariance };
  results.push(Object.fromEntries(Object.entries(vectors).map(([name, values]) => [name, [...values]])));
}
writeFileSync(join(folder, `rank-${rank}.json`), JSON.stringify(results));
await layer.dispose();
await collective.dispose();
await backend.dispose();
