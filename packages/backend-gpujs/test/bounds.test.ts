// Within the bounds of docs/numerics.md whatever the values: patterns that lead pivots astray, and every magnitude that
// float32 has.
import { boundsOf, normal, oracle, type Random, RunningErrors, randomSeededBy } from '@batchnorm/conformance';
import {
  type Extent,
  extentOf,
  type FloatArray,
  type Kernels,
  type Memory,
  operationsOf,
  type Stages,
  statisticsOf,
} from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import type { GpuJsBackend } from '../src/index.js';
import { describeModes, modesHere } from './modes.js';

const C = 16;
const accumulation = 'compensated-float32';

/** A batch with C channels, and what normalises it. */
interface Batch {
  readonly shape: readonly number[];
  readonly x: Float32Array;
  readonly dy: Float32Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
}

await describeModes(modesHere, (mode, create) => {
  const onHost = mode === 'cpu' || mode === 'webasm';

  it('with zeros at the first and last of 100 values around 100', async () => {
    const random = randomSeededBy('zeros at the ends');
    const at = (j: number) => (j === 0 || j === 99 ? 0 : 100 + normal(random));
    const backend = await create();
    for (const shape of [
      [100, C],
      [2, C, 50],
    ]) {
      const worst = await worstOf(
        backend,
        ordinary(shape, () => at, random),
        ['host', 'device'],
      );
      expect(worst).toBeLessThan(1);
    }
    await backend.dispose();
  });

  it('with periods, sparse outliers, drifts, sorted values and constant beginnings', async () => {
    const backend = await create();
    let worst = 0;
    for (const [index, M] of [3, 8, 31, 64, 500, 1000].entries()) {
      for (let round = 0; round < (onHost ? 6 : 2); round++) {
        const random = randomSeededBy(`patterns ${M} ${round}`);
        const shape = M % 2 === 0 && (round + index) % 2 === 0 ? [2, C, M / 2] : [M, C];
        const batch = ordinary(shape, () => pattern(random, M), random);
        worst = Math.max(worst, await worstOf(backend, batch, ['host', 'device']));
      }
    }
    expect(worst).toBeLessThan(1);
    await backend.dispose();
  });

  it('with values, gradients, parameters and epsilons of every magnitude', async () => {
    const backend = await create();
    let worst = 0;
    for (const M of [2, 5, 16, 100]) {
      for (let round = 0; round < (onHost ? 20 : 4); round++) {
        const random = randomSeededBy(`magnitudes ${M} ${round}`);
        const shape = M % 2 === 0 && round % 2 === 0 ? [2, C, M / 2] : [M, C];
        // On devices x may be refused, channel by channel: range.test.ts.
        worst = Math.max(
          worst,
          await worstOf(backend, magnitudes(shape, random), onHost ? ['host', 'device'] : ['host']),
        );
      }
    }
    expect(worst).toBeLessThan(1);
    await backend.dispose();
  });
});

/** A channel of M values, by their index. */
function pattern(random: Random, M: number): (j: number) => number {
  const scale = 10 ** (9 * random() - 3);
  const base = random() < 0.3 ? 0 : (random() - 0.5) * 10 ** (8 * random() - 1);
  const noises = [() => 0, () => normal(random), () => (random() < 0.5 ? 1 : -1)];
  const noise = noises[Math.floor(random() * noises.length)]!;
  const period = 1 + Math.floor(random() * 40);
  const at = Math.floor(random() * M);
  const patterns = [
    (j: number) => base + scale * Number(j % period === 0) + noise(),
    () => (random() < 1 / period ? 1000 * scale : base) + noise(),
    (j: number) => base + (scale * j) / M + 0.01 * noise(),
    (j: number) => (j < at ? 0 : base + scale) + noise(),
    (j: number) => (j === at ? base + 1e4 * scale : base),
    (j: number) => (j === 0 ? 1e5 * scale : noise()),
    () => base + scale * noise() * Math.exp(4 * normal(random)),
    (j: number) => base + (j % 2 === 0 ? scale : -scale) + 1e-3 * noise(),
    () => Math.fround(1.1) + (random() < 0.5 ? 2 ** -23 : 0),
  ];
  return patterns[Math.floor(random() * patterns.length)]!;
}

function ordinary(shape: readonly number[], channel: (c: number) => (j: number) => number, random: Random): Batch {
  const x = fill(shape, channel);
  const dy = fill(shape, () => () => normal(random));
  return { shape, x, dy, gamma: new Float64Array(C).fill(1), beta: new Float64Array(C), epsilon: 1e-5 };
}

/** Exponents from the smallest number of float32 to nearly the largest, for everything. */
function magnitudes(shape: readonly number[], random: Random): Batch {
  const magnitude = (low: number, high: number) => 10 ** (low + (high - low) * random());
  const vector = (usual: number) =>
    Float64Array.from({ length: C }, () => (random() < 0.5 ? usual : normal(random) * magnitude(-44, 36)));
  const x = fill(shape, () => {
    const [mean, deviation] = [random() < 0.5 ? 0 : magnitude(-44, 37), magnitude(-44, 37)];
    const kinds = [
      () => mean,
      (j: number) => mean + (j % 2 === 0 ? deviation : -deviation),
      (j: number) => (j === 1 ? deviation : mean),
      () => mean + (deviation * normal(random)) / 3,
    ];
    return kinds[Math.floor(random() * kinds.length)]!;
  });
  const dy = fill(shape, () => {
    const size = random() < 0.5 ? 1 : magnitude(-44, 37);
    return () => (size * normal(random)) / 6;
  });
  const epsilon = [1e-5, magnitude(-90, 3), magnitude(-40, 0)][Math.floor(random() * 3)]!;
  return { shape, x, dy, gamma: vector(1), beta: vector(0), epsilon };
}

function fill(shape: readonly number[], channel: (c: number) => (j: number) => number): Float32Array {
  const { outer, inner } = extentOf(shape, 1);
  const data = new Float32Array(outer * C * inner);
  for (let c = 0; c < C; c++) {
    const value = channel(c);
    for (let j = 0; j < outer * inner; j++) data[(Math.floor(j / inner) * C + c) * inner + (j % inner)] = value(j);
  }
  return data;
}

/** The largest error ÷ bound of all results, in training and in inference by the batch's own statistics. */
async function worstOf(backend: GpuJsBackend, batch: Batch, memories: readonly ('host' | 'device')[]): Promise<number> {
  const extent = extentOf(batch.shape, 1);
  const kernels = (await backend.prepare({ extent, dtype: 'float32' })) as Kernels;
  let worst = 0;
  for (const memory of memories) {
    for (const training of [true, false]) {
      const received = await step(backend, kernels, batch, memory, training);
      worst = Math.max(worst, errorOverBound(received, batch, extent, training));
    }
  }
  kernels.dispose();
  return worst;
}

type Results = Readonly<
  Partial<Record<'y' | 'dx' | 'dgamma' | 'dbeta' | 'runningMean' | 'runningVariance', FloatArray>>
>;

function errorOverBound(received: Results, batch: Batch, extent: Extent, training: boolean): number {
  const statistics = oracle.batchStatistics(batch.x, extent);
  const running = new RunningErrors(C);
  const valuesPerChannel = extent.outer * extent.inner;
  if (training) running.track(statistics, { accumulation, valuesPerChannel, kept: 0, runningVariance: 'population' });
  else running.reset(statistics);
  const bounds = boundsOf({
    dtype: 'float32',
    accumulation,
    extent,
    x: batch.x,
    dy: batch.dy,
    normalization: { ...statistics, ...batch },
    throughStatistics: training,
    running,
  });
  const input = { extent, statistics, throughStatistics: training, ...batch };
  const expected: Results = {
    y: oracle.forward(input),
    ...oracle.backward(input, batch.dy),
    runningMean: statistics.mean,
    runningVariance: statistics.variance,
  };
  let worst = 0;
  for (const [name, values] of Object.entries(received)) {
    const bound = bounds[name as keyof Results];
    values.forEach((value: number, index: number) => {
      const want = expected[name as keyof Results]![index]!;
      // GPUs know no smaller numbers than normal ones, of inputs and of results.
      const allowed = bound.tolerance[index]! * bound.magnitude[index]! + 4 * 2 ** -126;
      // What can't be written down, or cancels to anything that can, is nobody's fault.
      if (Math.max(Math.abs(want), allowed) > 1e38 && values instanceof Float32Array) return;
      worst = Math.max(worst, Math.abs(value - want) / allowed);
    });
  }
  return worst;
}

async function step(
  backend: GpuJsBackend,
  kernels: Kernels,
  { shape, x, dy, gamma, beta, epsilon }: Batch,
  memory: 'host' | 'device',
  training: boolean,
): Promise<Results> {
  const operations = operationsOf((memory === 'host' ? kernels : kernels.device!) as unknown as Stages<Memory>);
  const put = (data: Float32Array) => (memory === 'host' ? data : backend.upload({ data, shape }));
  const read = async <T>(value: T | { read(): T | PromiseLike<T> }) =>
    Object(value).read ? Object(value).read() : value;
  const statistics = oracle.batchStatistics(x, extentOf(shape, 1));
  const input = { x: await put(x), gamma, beta, epsilon, y: undefined };
  const forward = training
    ? await operations.forwardTraining({ ...input, requireFinite: false })
    : await operations.forwardInference({ ...input, ...statistics });
  const given = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
  const backward = { saved: forward.saved, dy: await put(dy), ...given };
  const gradients = await operations[training ? 'backwardTraining' : 'backwardInference'](backward);
  const batchStatistics = 'moments' in forward ? statisticsOf(await read(forward.moments)) : undefined;
  const results = {
    y: await read(forward.y),
    dx: await read(gradients.dx),
    dgamma: await read(gradients.dgamma),
    dbeta: await read(gradients.dbeta),
    ...(batchStatistics && { runningMean: batchStatistics.mean, runningVariance: batchStatistics.variance }),
  };
  forward.saved.dispose();
  return results;
}
