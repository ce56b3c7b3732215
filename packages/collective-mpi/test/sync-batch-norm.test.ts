// SyncBatchNorm: the ranks of an MPI job normalise as one process does on the batches of all.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJsBackend } from '@batchnorm/backend-js';
import { boundsOf, normal, oracle, randomSeededBy } from '@batchnorm/conformance';
import { type Accumulation, BatchNorm, type Dtype, extentOf, inProcessCollective } from '@batchnorm/core-api';
import { expect, it, onTestFinished } from 'vitest';
import { sumGradients } from '../src/index.js';
import { describeMpi } from './describe-mpi.js';
import { runJob } from './job.js';

const C = 7;

type Vectors = Readonly<Record<'y' | 'dx' | 'dgamma' | 'dbeta' | 'runningMean' | 'runningVariance', number[]>>;

const numbersOf = (vectors: Readonly<Record<keyof Vectors, Iterable<number>>>): Vectors =>
  Object.fromEntries(Object.entries(vectors).map(([name, values]) => [name, [...values]])) as Vectors;

interface Input {
  readonly dtype: Dtype;
  readonly gamma: readonly number[];
  readonly beta: readonly number[];
  readonly steps: readonly { readonly x: readonly number[]; readonly dy: readonly number[] }[];
}

/** Two batches of all ranks together: float32 numbers around means from −1 to 1, of deviations from 0.5 to 2. */
function inputOf(rows: number, dtype: Dtype, seed: number): Input {
  const random = randomSeededBy(`collective-mpi ${seed}`);
  const channels = <T>(make: (c: number) => T) => Array.from({ length: C }, (_, c) => make(c));
  const [mean, deviation] = [channels(() => 2 * random() - 1), channels(() => 0.5 + 1.5 * random())];
  const elements = (make: (c: number) => number) =>
    Array.from({ length: rows * C }, (_, k) => Math.fround(make(k % C)));
  const steps = [0, 1].map(() => ({
    x: elements((c) => mean[c]! + deviation[c]! * normal(random)),
    dy: elements(() => normal(random)),
  }));
  return { dtype, gamma: channels(() => 0.5 + random()), beta: channels(() => normal(random)), steps };
}

/** What each rank computed of its rows, and what it exited with. */
async function trained(
  input: Input,
  rows: readonly number[],
  backend: string,
  groups?: readonly number[],
): Promise<Vectors[][]> {
  const folder = mkdtempSync(join(tmpdir(), 'batchnorm-mpi-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'input.json'), JSON.stringify({ ...input, C, rows, groups }));
  const { exitCode, output } = await runJob('normalise.mjs', { ranks: rows.length, args: [folder, backend] });
  expect(exitCode, output).toBe(0);
  return rows.map((_, rank) => JSON.parse(readFileSync(join(folder, `rank-${rank}.json`), 'utf8')));
}

/** The same by one process on the rows of all. */
async function trainedAlone({ dtype, gamma, beta, steps }: Input): Promise<Vectors[]> {
  const backend = createJsBackend();
  const layer = new BatchNorm({ backend, numFeatures: C, dtype, momentum: 0 });
  layer.gamma = gamma;
  layer.beta = beta;
  const tensor = (values: readonly number[]) => ({
    data: dtype === 'float32' ? Float32Array.from(values) : Float64Array.from(values),
    shape: [values.length / C, C],
  });
  const results: Vectors[] = [];
  for (const { x, dy } of steps) {
    const y = await layer.forward(tensor(x));
    const { dx, dgamma, dbeta } = await layer.backward(tensor(dy));
    const { runningMean, runningVariance } = await layer.state();
    results.push(numbersOf({ y: y.data, dx: dx.data, dgamma, dbeta, runningMean, runningVariance }));
  }
  await layer.dispose();
  await backend.dispose();
  return results;
}

/** The same by one process, in which layers are the ranks. */
async function trainedInProcess({ dtype, gamma, beta, steps }: Input, rows: readonly number[]): Promise<Vectors[][]> {
  const backend = createJsBackend();
  const begins = rows.map((_, rank) => rows.slice(0, rank).reduce((a, b) => a + b, 0));
  const ranks = inProcessCollective(rows.length).map(async (collective, rank) => {
    const layer = new BatchNorm({ backend, numFeatures: C, dtype, momentum: 0, emptyBatch: 'pass', collective });
    layer.gamma = gamma;
    layer.beta = beta;
    const own = (values: readonly number[]) => {
      const part = values.slice(begins[rank]! * C, (begins[rank]! + rows[rank]!) * C);
      return { data: dtype === 'float32' ? Float32Array.from(part) : Float64Array.from(part), shape: [rows[rank]!, C] };
    };
    const results: Vectors[] = [];
    for (const { x, dy } of steps) {
      const y = await layer.forward(own(x));
      const { dx, dgamma, dbeta } = await layer.backward(own(dy));
      await sumGradients(collective, [dgamma, dbeta]);
      const { runningMean, runningVariance } = await layer.state();
      results.push(numbersOf({ y: y.data, dx: dx.data, dgamma, dbeta, runningMean, runningVariance }));
    }
    return results;
  });
  return Promise.all(ranks);
}

describeMpi('SyncBatchNorm on MPI', () => {
  it.each(['float32', 'float64'] as const)(
    'has the bits of one process whose layers are the ranks, in %s',
    async (dtype) => {
      const rows = [5, 0, 17];
      const input = inputOf(22, dtype, 7);
      expect(await trained(input, rows, 'js')).toEqual(await trainedInProcess(input, rows));
    },
  );

  it.each([
    { backend: 'js', dtype: 'float32', accumulation: 'float64', rows: [24, 40] },
    { backend: 'js', dtype: 'float64', accumulation: 'float64', rows: [5, 0, 1, 58] },
    { backend: 'wasm', dtype: 'float32', accumulation: 'blocked-float32', rows: [0, 30, 3, 31] },
  ] as const)('of $backend in $dtype on $rows rows is one layer on all', async (job) => {
    const { backend, dtype, accumulation, rows } = job;
    const total = rows.reduce<number>((a, b) => a + b, 0);
    const input = inputOf(total, dtype, rows.length);
    const [ranks, one] = [await trained(input, rows, backend), await trainedAlone(input)];
    for (const [step, expected] of one.entries()) {
      const ofStep = ranks.map((results) => results[step]!);
      for (const name of ['runningMean', 'runningVariance', 'dgamma', 'dbeta'] as const) {
        for (const own of ofStep) expect(own[name], `${name} has the same bits`).toEqual(ofStep[0]![name]);
      }
      const { runningMean, runningVariance } = ofStep[0]!;
      // Other arithmetic has larger errors of its own, on one rank as on many.
      for (let c = 0; accumulation === 'float64' && c < C; c++) {
        const variance = expected.runningVariance[c]!;
        const offMean = Math.abs(runningMean[c]! - expected.runningMean[c]!) / Math.sqrt(variance);
        const offVariance = Math.abs(runningVariance[c]! - variance) / variance;
        expect(Math.max(offMean, offVariance), `channel ${c}`).toBeLessThanOrEqual(1e-15);
      }
      const all = {
        y: ofStep.flatMap(({ y }) => y),
        dx: ofStep.flatMap(({ dx }) => dx),
        dgamma: ofStep[0]!.dgamma,
        dbeta: ofStep[0]!.dbeta,
      };
      for (const [name, ratio] of Object.entries(errorsOverBounds(all, input, step, accumulation))) {
        expect(ratio, name).toBeLessThanOrEqual(1);
      }
    }
  });

  it('normalises the rows of each group by themselves: ghost batch norm', async () => {
    const rows = [8, 9, 10, 11];
    const groups = [0, 1, 0, 1];
    const input = inputOf(38, 'float64', 5);
    const ranks = await trained(input, rows, 'js', groups);
    const begins = rows.map((_, rank) => rows.slice(0, rank).reduce((a, b) => a + b, 0));
    for (const group of [0, 1]) {
      const members = [0, 1, 2, 3].filter((rank) => groups[rank] === group);
      const part = (values: readonly number[]) =>
        members.flatMap((rank) => values.slice(begins[rank]! * C, (begins[rank]! + rows[rank]!) * C));
      const steps = input.steps.map(({ x, dy }) => ({ x: part(x), dy: part(dy) }));
      for (const [step, expected] of (await trainedAlone({ ...input, steps })).entries()) {
        const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 12));
        const ofStep = members.map((rank) => ranks[rank]![step]!);
        for (const own of ofStep) expect(own.runningMean).toEqual(close(expected.runningMean));
        for (const own of ofStep) expect(own.dgamma).toEqual(close(expected.dgamma));
        expect(ofStep.flatMap(({ y }) => y)).toEqual(close(expected.y));
        expect(ofStep.flatMap(({ dx }) => dx)).toEqual(close(expected.dx));
      }
    }
  });
});

/** The largest error ÷ bound of each result, by the conformance kit. */
function errorsOverBounds(
  results: Omit<Vectors, 'runningMean' | 'runningVariance'>,
  input: Input,
  step: number,
  accumulation: Accumulation,
) {
  const { dtype, gamma, beta } = input;
  const { x, dy } = input.steps[step]!;
  const extent = extentOf([x.length / C, C], 1);
  const statistics = oracle.batchStatistics(x, extent);
  const layer = { gamma, beta, epsilon: 1e-5 };
  const expected = {
    y: oracle.forward({ extent, x, ...layer, statistics }),
    ...oracle.backward({ extent, x, ...layer, statistics, throughStatistics: true }, dy),
  };
  const bounds = boundsOf({
    ...{ dtype, accumulation, extent, x, dy, throughStatistics: true },
    normalization: { ...statistics, ...layer },
  });
  const ratio = (name: keyof typeof results) => {
    const { tolerance, magnitude } = bounds[name];
    const errors = results[name].map((value, k) => Math.abs(value - expected[name][k]!));
    return Math.max(...errors.map((error, k) => error / (tolerance[k]! * magnitude[k]!)));
  };
  return { y: ratio('y'), dx: ratio('dx'), dgamma: ratio('dgamma'), dbeta: ratio('dbeta') };
}
