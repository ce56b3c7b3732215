// A rank of faults.test.ts: `train.mjs FOLDER STEPS [FAULT RANK STEP]` trains a layer, and goes on from
// FOLDER/checkpoint.json, which rank 0 writes after each step. One rank has a fault before the forward of one step.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createJsBackend } from '@batchnorm/backend-js';
import { createMpiCollective, sumGradients } from '@batchnorm/collective-mpi';
import { BatchNorm } from '@batchnorm/core-api';
import { report } from './report.mjs';

const [folder, steps, fault, faultyRank, faultyStep] = process.argv.slice(2);
const C = 3;
const rows = 5;

/** What the faulty rank does. */
const faults = {
  SIGKILL: () => process.kill(process.pid, 'SIGKILL'),
  SIGSTOP: () => process.kill(process.pid, 'SIGSTOP'),
  'uncaught error': () => {
    throw new Error('a bug of this rank');
  },
  'process.exit(0)': () => process.exit(0),
  'mpirun killed': async () => {
    process.kill(launcher(), 'SIGKILL');
    // Else all steps are done before anybody notices.
    await setTimeout(5000);
  },
  'skipped call': () => undefined,
};

/** The process of mpirun: MPICH has others between it and its ranks. */
function launcher() {
  let pid = process.ppid;
  while (!/^(mpi|prte)/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))) {
    pid = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
  }
  return pid;
}

const collective = await createMpiCollective({ timeoutMs: 3000 });
const backend = createJsBackend();
const layer = new BatchNorm({ backend, numFeatures: C, collective });
const { rank } = collective;

const path = join(folder, 'checkpoint.json');
const checkpointed = () => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).step : 0);
let done = 0;
if (existsSync(path)) {
  const { step, state } = JSON.parse(readFileSync(path, 'utf8'));
  await layer.loadState(state);
  done = step;
}

/** Of this rank and step. */
const batch = (step, phase) => ({
  data: Float32Array.from({ length: rows * C }, (_, k) =>
    Math.sin(12.9898 * (k + 1) + 78.233 * (step + 100 * rank) + phase),
  ),
  shape: [rows, C],
});

async function train(step) {
  const isFaulty = rank === Number(faultyRank) && step === Number(faultyStep);
  if (isFaulty) {
    // What ends rank 0 at once must not find it between a step and its checkpoint.
    while (checkpointed() < step - 1) await setTimeout(5);
    report({ fault, at: Date.now() });
    await faults[fault]();
  }
  if (!isFaulty || fault !== 'skipped call') await layer.forward(batch(step, 0));
  const { dgamma, dbeta } = await layer.backward(batch(step, 1));
  await sumGradients(collective, [dgamma, dbeta]);
  for (let c = 0; c < C; c++) {
    layer.gamma[c] -= (0.1 * dgamma[c]) / collective.size;
    layer.beta[c] -= (0.1 * dbeta[c]) / collective.size;
  }
}

/** Written beside it first: a checkpoint is there as a whole, or not at all. */
async function save(step) {
  writeFileSync(`${path}.new`, JSON.stringify({ step, state: await layer.state() }));
  renameSync(`${path}.new`, path);
}

let failures = 0;
for (let step = done + 1; step <= Number(steps) && failures < 2; step++) {
  const before = JSON.stringify(await layer.state());
  try {
    await train(step);
    failures = 0;
  } catch (error) {
    if (error.code === undefined) throw error;
    failures++;
    const isUnchanged = JSON.stringify(await layer.state()) === before;
    report({ step, code: error.code, message: error.message, isUnchanged, at: Date.now() });
    continue;
  }
  if (rank === 0) await save(step);
}
if (failures > 0) process.exitCode = 1;
else report({ state: await layer.state() });
await collective.dispose();
