// Ranks of collective.test.ts: `collective.mjs SCENARIO` makes calls, and reports what this rank was answered.
import { setTimeout } from 'node:timers/promises';
import { createJsBackend } from '@batchnorm/backend-js';
import { createMpiCollective, sumGradients } from '@batchnorm/collective-mpi';
import { BatchNorm } from '@batchnorm/core-api';
import { outcome, rank, report } from './report.mjs';

/** Different on every rank and in every place. */
const value = (of, n) => of * 1e6 + n;
const values = (length) => Float64Array.from({ length }, (_, n) => value(rank, n));

/** Whether every rank's values are what that rank gave. */
const areRight = (gathered, length) =>
  gathered.every((received, of) => received.length === length && received.every((each, n) => each === value(of, n)));

/** Gathers, and says whether that went right, or what the error was. */
async function gather(collective, length) {
  const { value, ...error } = await outcome(collective.allGather(values(length)));
  return value ? { ranks: value.length, right: areRight(value, length) } : error;
}

const scenarios = {
  async lengths(collective) {
    for (const length of [0, 1, 252, 253, 5000, 20, 6000]) report({ length, ...(await gather(collective, length)) });
  },

  async queue(collective) {
    const own = values(300);
    const first = collective.allGather(own);
    own.fill(-1);
    const calls = [first, collective.allGather(values(2)), collective.allGather(values(400))];
    const gathered = await Promise.all(calls);
    report({ right: gathered.map((received, n) => areRight(received, [300, 2, 400][n])) });
  },

  async unequal(collective) {
    for (const [one, others] of [
      [3, 2],
      [0, 1],
      [5000, 5001],
      [200, 5000],
      [5000, 1],
    ]) {
      report({ unequal: await gather(collective, rank === 1 ? one : others) });
      report({ after: await gather(collective, 600) });
    }
  },

  async invalid(collective) {
    report(await outcome(collective.allGather(rank === 1 ? [1, 2] : values(2))));
    report(await gather(collective, 2));
  },

  async late(collective) {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    if (rank === 1) await setTimeout(700);
    const before = process.cpuUsage();
    const answer = await gather(collective, 3);
    const { user, system } = process.cpuUsage(before);
    clearInterval(timer);
    report({ ...answer, ticks, cpu: (user + system) / 1000 });
  },

  async leaving(collective) {
    if (rank === 1) await collective.dispose();
    report({ first: await gather(collective, 3) });
    report({ second: await gather(collective, 3) });
    await collective.dispose();
    await collective.dispose();
  },

  async timeout() {
    const collective = await createMpiCollective({ timeoutMs: 300 });
    if (rank === 1) await setTimeout(2000);
    report({ first: await gather(collective, 3) });
    report({ second: await gather(collective, 3) });
    await collective.dispose();
    report({ disposed: true });
  },

  async patience() {
    // The first of the process has 500 ms.
    if (rank === 1) await setTimeout(2000);
    const collective = await createMpiCollective({ timeoutMs: 20_000 });
    report(await gather(collective, 3));
    await collective.dispose();
  },

  async uncaught() {
    const collective = await createMpiCollective({ timeoutMs: 300 });
    if (rank === 1) await setTimeout(2000);
    await collective.allGather(values(3));
  },

  async groups(collective) {
    const group = await createMpiCollective({ group: rank % 2 });
    const gathered = await group.allGather(values(2));
    report({ size: group.size, rankInGroup: group.rank, firsts: gathered.map(([first]) => first / 1e6) });
    report({ all: await gather(collective, 2) });
    report({ mixed: await outcome(createMpiCollective(rank === 1 ? {} : { group: 0 })) });
    report({ invalid: await outcome(createMpiCollective({ group: rank === 1 ? 1.5 : 0 })) });
    report({ after: await gather(await createMpiCollective(), 2) });
    await group.dispose();
  },

  async sums(collective) {
    // 0.1 · (rank + 1) is rounded, so that the order of additions shows.
    const arrays = [new Float32Array(3).fill(0.1 * (rank + 1)), values(70_000), new Float64Array(0)];
    await sumGradients(collective, arrays);
    report({ first: [...arrays[0]], last: arrays[1].at(-1), total: arrays[1].reduce((sum, value) => sum + value, 0) });
  },

  async layers(collective) {
    const backend = createJsBackend();
    const make = (numFeatures) => new BatchNorm({ backend, numFeatures, collective });
    const batch = (C, value = 1) => ({
      data: Float32Array.from({ length: 2 * C }, (_, k) => k * value),
      shape: [2, C],
    });
    const forward = async (layer, x) => {
      const before = JSON.stringify(await layer.state());
      const { code, message } = await outcome(layer.forward(x));
      return { code, message, isUnchanged: JSON.stringify(await layer.state()) === before };
    };
    const [one, other, third] = [make(2), make(2), make(rank === 1 ? 3 : 2)];
    report({ nan: await forward(one, batch(2, rank === 1 ? Number.NaN : 1)) });
    report({ order: await forward(rank === 1 ? other : one, batch(2)) });
    report({ order: await forward(rank === 1 ? one : other, batch(2)) });
    report({ channels: await forward(third, batch(third.options.numFeatures)) });
    report({ after: (await forward(one, batch(2))).code });
  },

  async misconfigured(collective) {
    report(misconfigured);
    report(await gather(collective, 2));
  },

  async undisposed() {
    report(await gather(await createMpiCollective(), 2));
  },
};

const [name] = process.argv.slice(2);
// Before there is any other: nobody else has begun MPI's own beginning.
const misconfigured =
  name === 'misconfigured' && (await outcome(createMpiCollective(rank === 1 ? { timeout: 1 } : {})));
const collective = await createMpiCollective(name === 'patience' ? { timeoutMs: 500 } : {});
report({ rankInJob: collective.rank, size: collective.size });
await scenarios[name](collective);
if (!['undisposed', 'timeout', 'uncaught'].includes(name)) await collective.dispose();
