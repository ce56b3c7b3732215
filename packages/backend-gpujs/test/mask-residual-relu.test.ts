// Masks, residuals and 'relu', one by one and together, against the formulas in float64.
import {
  type BackwardInput,
  type BackwardOutput,
  type CountedPositions,
  type ForwardOutput,
  type GradientSums,
  type Kernels,
  type Memory,
  type Moments,
  mergeMoments,
  type Nonlinearity,
  type NormalizeInput,
  type Operations,
  operationsOf,
  type Stages,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { type Batch, batchOf, largestError } from '@batchnorm/testing/batches';
import { expect, it } from 'vitest';
import type { GpuJsBackend } from '../src/index.js';
import { countDeviceMemory } from './device-memory.js';
import { describeModes, modesHere } from './modes.js';

const epsilon = 1e-5;
const memories = ['host', 'device'] as const;
type MemoryName = (typeof memories)[number];

/** Rows, runs, one channel, and blocks whose lengths are no multiples of the turns of a loop. */
const shapes = [
  [64, 4],
  [6, 4, 8],
  [13, 3, 7],
  [24, 1, 2],
];

/** Which of `length` positions count. */
const masks: Record<string, (position: number, length: number) => boolean> = {
  'a beginning of each run': (p) => p % 8 < 5,
  scattered: (p) => Math.sin(p * p + 1) > -0.3,
  'the last position alone': (p, length) => p === length - 1,
  'all but the first': (p) => p > 0,
};

function countedBy(counts: (position: number, length: number) => boolean, length: number): CountedPositions {
  const positions = Uint8Array.from({ length }, (_, p) => Number(counts(p, length)));
  return { positions, count: positions.reduce((sum, value) => sum + value, 0) };
}

interface Problem extends Batch {
  readonly residual: Float32Array | undefined;
  readonly mask: CountedPositions | undefined;
  readonly activation: Nonlinearity;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  /** Statistics that are given. Absent: those of the batch. */
  readonly given?: { readonly mean: Float64Array; readonly variance: Float64Array };
}

function problemOf(
  shape: readonly number[],
  { residual = false, activation = 'none' as Nonlinearity, mask = undefined as CountedPositions | undefined } = {},
): Problem {
  const batch = batchOf(shape, { mean: 3 });
  const { channels } = batch.extent;
  return {
    ...batch,
    residual: residual ? (batchOf(shape, { seed: 7 }).x.data as Float32Array) : undefined,
    mask,
    activation,
    gamma: Float64Array.from({ length: channels }, (_, c) => (c % 2 === 0 ? 1.25 : -0.5)),
    beta: Float64Array.from({ length: channels }, (_, c) => 0.25 - 0.5 * c),
  };
}

interface Results {
  readonly y: Float32Array;
  readonly dx: Float32Array;
  readonly dresidual: Float32Array | undefined;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** What the formulas give in float64. The gate is that of `y`: where z rounds to 0, either is right. */
function exactOf({ x, dy, extent, residual, mask, activation, gamma, beta, given }: Problem, y: Float32Array) {
  const { channels: C, inner } = extent;
  const channelOf = (k: number) => Math.floor(k / inner) % C;
  const positionOf = (k: number) => Math.floor(k / (C * inner)) * inner + (k % inner);
  const counts = (k: number) => mask === undefined || mask.positions[positionOf(k)] === 1;
  const M = mask?.count ?? valuesPerChannel(extent);
  const sums = (term: (k: number, c: number) => number) => {
    const sum = new Float64Array(C);
    for (let k = 0; k < y.length; k++) sum[channelOf(k)]! += term(k, channelOf(k));
    return sum;
  };
  const mean = given?.mean ?? sums((k) => (counts(k) ? x.data[k]! / M : 0));
  const variance = given?.variance ?? sums((k, c) => (counts(k) ? (x.data[k]! - mean[c]!) ** 2 / M : 0));
  const xHat = (k: number, c: number) => (x.data[k]! - mean[c]!) / Math.sqrt(variance[c]! + epsilon);
  const z = (k: number, c: number) => gamma[c]! * xHat(k, c) + beta[c]! + (residual?.[k] ?? 0);
  const elements = (value: (k: number, c: number) => number) => Float64Array.from(y, (_, k) => value(k, channelOf(k)));
  const g = elements((k) => (activation === 'relu' && y[k] === 0 ? 0 : dy.data[k]!));
  const dbeta = sums((k) => g[k]!);
  const dgamma = sums((k, c) => g[k]! * xHat(k, c));
  const isThrough = (k: number) => given === undefined && counts(k);
  return {
    y: elements((k, c) => (activation === 'relu' && z(k, c) <= 0 ? 0 : z(k, c))),
    g: Float32Array.from(g),
    dbeta,
    dgamma,
    dx: elements((k, c) => {
      const through = isThrough(k) ? (dbeta[c]! + xHat(k, c) * dgamma[c]!) / M : 0;
      return (gamma[c]! / Math.sqrt(variance[c]! + epsilon)) * (g[k]! - through);
    }),
  };
}

function expectRight(problem: Problem, { y, dx, dresidual, dgamma, dbeta }: Results): void {
  const exact = exactOf(problem, y);
  const size = (values: ArrayLike<number>) => Math.max(1, ...Array.from(values, Math.abs));
  expect(largestError(y, exact.y)).toBeLessThan(2e-6 * size(exact.y));
  expect(largestError(dx, exact.dx)).toBeLessThan(2e-6 * size(exact.dx));
  expect(largestError(dgamma, exact.dgamma)).toBeLessThan(2e-5 * size(exact.dgamma));
  expect(largestError(dbeta, exact.dbeta)).toBeLessThan(2e-5 * size(exact.dbeta));
  expect(dresidual).toEqual(problem.residual && exact.g);
  if (problem.activation === 'none') return;
  expect(y.some((value) => value > 0) && y.some((value) => value === 0)).toBe(true);
  expect(y.every((value) => !Object.is(value, -0))).toBe(true);
}

interface Prepared {
  readonly kernels: Kernels;
  readonly stages: Stages<Memory>;
  readonly operations: Operations<Memory>;
  readonly input: Omit<NormalizeInput<Memory>, 'by'>;
  readonly dy: Memory['activation'];
  put(values: Float32Array): Promise<Memory['activation']>;
  dispose(): void;
}

async function prepared(backend: GpuJsBackend, problem: Problem, memory: MemoryName): Promise<Prepared> {
  const { x, dy, extent, residual, mask, activation, gamma, beta } = problem;
  const kernels = (await backend.prepare({ extent, dtype: 'float32', activation })) as Kernels;
  const stages = (memory === 'host' ? kernels : kernels.device!) as unknown as Stages<Memory>;
  const uploaded: { dispose(): void }[] = [];
  const put = async (values: Float32Array): Promise<Memory['activation']> => {
    if (memory === 'host') return values.slice();
    const tensor = await backend.upload({ data: values, shape: x.shape });
    uploaded.push(tensor);
    return tensor;
  };
  return {
    kernels,
    stages,
    operations: operationsOf(stages),
    input: {
      x: await put(x.data as Float32Array),
      residual: residual && (await put(residual)),
      mask,
      gamma,
      beta,
      epsilon,
      y: undefined,
    },
    dy: await put(dy.data as Float32Array),
    put,
    dispose() {
      for (const tensor of uploaded) tensor.dispose();
      kernels.dispose();
    },
  };
}

async function read<T>(value: T | { read(): T | PromiseLike<T> }): Promise<T> {
  return Object(value).read ? (value as { read(): T }).read() : (value as T);
}

const noBuffers = { dx: undefined, dgamma: undefined, dbeta: undefined };

async function resultsOf(forward: ForwardOutput<Memory>, backward: BackwardOutput<Memory>): Promise<Results> {
  const { dx, dresidual, dgamma, dbeta } = backward;
  return {
    y: await read<Float32Array>(forward.y as never),
    dx: await read<Float32Array>(dx as never),
    dresidual: dresidual && (await read<Float32Array>(dresidual as never)),
    dgamma: await read(dgamma),
    dbeta: await read(dbeta),
  };
}

/** A forward and its backward, as a layer calls them. */
async function trained(
  { operations, input, dy }: Prepared,
  { given }: Problem,
  buffers: Partial<BackwardInput<Memory>> = {},
): Promise<Results> {
  const forward = given
    ? await operations.forwardInference({ ...input, ...given })
    : await operations.forwardTraining({ ...input, requireFinite: false });
  const back = { ...noBuffers, saved: forward.saved, dy, parameterGradients: true, ...buffers };
  const backward = given ? await operations.backwardInference(back) : await operations.backwardTraining(back);
  const results = await resultsOf(forward, backward);
  forward.saved.dispose();
  for (const one of [...Object.values(forward), ...Object.values(backward)]) (one as { dispose?(): void })?.dispose?.();
  return results;
}

/** The same by stages. */
async function staged({ stages, input, dy }: Prepared): Promise<Results> {
  const { x, mask } = input;
  const moments = await stages.moments({ x, epsilon, mask });
  const forward = await stages.normalize({ ...input, by: { batch: moments } });
  const { saved } = forward;
  const sums = await stages.gradientSums({ saved, dy });
  return resultsOf(forward, await stages.inputGradient({ ...noBuffers, saved, dy, sums, total: sums }));
}

const combinations = [false, true].flatMap((residual) =>
  (['none', 'relu'] as const).map((activation) => ({ residual, activation })),
);

await describeModes(modesHere, (mode, create) => {
  const onHost = mode === 'cpu' || mode === 'webasm';

  for (const memory of memories) {
    it(`a residual and relu, each and both, are right in training and in inference, on the ${memory}`, async () => {
      const backend = await create();
      for (const shape of shapes) {
        for (const combination of combinations) {
          const problem = problemOf(shape, combination);
          const { channels } = problem.extent;
          const given = { mean: new Float64Array(channels).fill(2.5), variance: new Float64Array(channels).fill(0.75) };
          for (const one of [problem, { ...problem, given }]) {
            const call = await prepared(backend, one, memory);
            expectRight(one, await trained(call, one));
            call.dispose();
          }
        }
      }
      await backend.dispose();
    });

    it(`only what a mask counts has a part in the statistics and goes through them, on the ${memory}`, async () => {
      const backend = await create();
      for (const shape of shapes) {
        for (const counts of Object.values(masks)) {
          const mask = countedBy(counts, valuesPerChannel(problemOf(shape).extent));
          const problem = problemOf(shape, { mask, residual: true, activation: 'relu' });
          const call = await prepared(backend, problem, memory);
          expectRight(problem, await trained(call, problem));
          expect((await read<Moments>(await call.stages.moments(call.input))).count).toBe(mask.count);
          call.dispose();
        }
      }
      await backend.dispose();
    });

    it(`what does not count may be NaN or infinite, on the ${memory}`, async () => {
      const backend = await create();
      // Large values are computed on the host, where it sees them.
      const sizes = memory === 'host' || onHost ? [1, 1e20] : [1];
      for (const shape of shapes) {
        for (const [small, size] of [epsilon, 0].flatMap((one) => sizes.map((size) => [one, size] as const))) {
          const ordinary = problemOf(shape);
          const plain = {
            ...ordinary,
            x: { ...ordinary.x, data: ordinary.x.data.map((value) => value * size) as Float32Array },
          };
          // The first position, of which pivots might be taken, among them.
          const mask = countedBy((p) => p % 3 !== 0, valuesPerChannel(plain.extent));
          const { channels: C, inner } = plain.extent;
          const isCounted = (k: number) => mask.positions[Math.floor(k / (C * inner)) * inner + (k % inner)] === 1;
          const others = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38];
          const data = plain.x.data.map((value, k) => (isCounted(k) ? value : others[k % 4]!)) as Float32Array;
          const problem = { ...plain, mask, x: { ...plain.x, data } };
          const clean = await prepared(backend, { ...plain, mask }, memory);
          const call = await prepared(backend, problem, memory);
          const moments = (of: Prepared) => of.stages.moments({ ...of.input, epsilon: small });
          const [received, expected] = [await moments(call), await moments(clean)];
          expect(await read<Moments>(received)).toEqual(await read<Moments>(expected));
          const normalized = await call.stages.normalize({ ...call.input, epsilon: small, by: { batch: received } });
          const wanted = await clean.stages.normalize({ ...clean.input, epsilon: small, by: { batch: expected } });
          const [y, cleanY] = [await read(normalized.y as never), await read(wanted.y as never)] as Float32Array[];
          const signs = problem.gamma.map(Math.sign);
          const expectedY = cleanY!.map((value, k) => {
            if (isCounted(k)) return value;
            const x = data[k]!;
            if (x === Math.fround(3e38)) return y![k]!;
            return x * signs[Math.floor(k / inner) % C]!;
          });
          expect(y).toEqual(expectedY);
          // Nor does dx read them: a total of the host has no NaN.
          const zeros = () => new Float64Array(C).fill(0.5);
          const total = { dgamma: zeros(), dbeta: zeros() };
          const gradient = (of: Prepared, saved: typeof normalized.saved, through: GradientSums | null) =>
            of.stages.inputGradient({ ...noBuffers, saved, dy: of.dy, sums: undefined, total: through });
          const dx = await read((await gradient(call, normalized.saved, total)).dx as never);
          expect(dx).toEqual(await read((await gradient(clean, wanted.saved, total)).dx as never));
          const constant = await read((await gradient(call, normalized.saved, null)).dx as never);
          expect(constant).toEqual(await read((await gradient(clean, wanted.saved, null)).dx as never));
          clean.dispose();
          call.dispose();
        }
      }
      await backend.dispose();
    });

    it(`moments of what counts are right when the first of it is far off, on the ${memory}`, async () => {
      const backend = await create();
      for (const shape of shapes) {
        const plain = problemOf(shape);
        const { channels: C, inner } = plain.extent;
        const mask = countedBy((p) => p % 3 !== 0, valuesPerChannel(plain.extent));
        const position = (k: number) => Math.floor(k / (C * inner)) * inner + (k % inner);
        const data = plain.x.data.map((value, k) =>
          position(k) % 3 === 0 ? 1e6 : position(k) === 1 ? 0 : 1e4 + value,
        ) as Float32Array;
        const call = await prepared(backend, { ...plain, mask, x: { ...plain.x, data } }, memory);
        const { mean, m2 } = await read<Moments>(await call.stages.moments(call.input));
        for (let c = 0; c < C; c++) {
          const counted = Array.from(data).filter(
            (_, k) => Math.floor(k / inner) % C === c && mask.positions[position(k)] === 1,
          );
          const expected = counted.reduce((sum, value) => sum + value / counted.length, 0);
          const squares = counted.reduce((sum, value) => sum + (value - expected) ** 2, 0);
          expect(Math.abs(mean[c]! - expected)).toBeLessThan(1e-7 * expected);
          expect(Math.abs(m2[c]! - squares)).toBeLessThan(1e-6 * squares);
        }
        call.dispose();
      }
      await backend.dispose();
    });

    it(`NaN and infinity pass relu as PyTorch lets them, on the ${memory}`, async () => {
      const backend = await create();
      const problem = problemOf([64, 4], { residual: true, activation: 'relu' });
      const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
      const residual = problem.residual!.map((value, k) => (k < 16 ? odd[k % 4]! : value));
      const call = await prepared(backend, { ...problem, residual }, memory);
      // A gradient that does not pass is 0, whatever it was.
      const gradient = problem.dy.data.map((value, k) => (k % 4 === 2 ? Number.NaN : value)) as Float32Array;
      const { y, dresidual } = await trained(call, problem, { dy: await call.put(gradient) });
      for (let k = 0; k < 16; k++) {
        if (k % 4 === 0) expect(y[k]).toBeNaN();
        if (k % 4 === 1) expect(y[k]).toBe(Number.POSITIVE_INFINITY);
        if (k % 4 === 2) expect(y[k]).toBe(0);
      }
      expect(dresidual).toEqual(gradient.map((value, k) => (y[k] === 0 ? 0 : value)));
      // Where z is 0, be it −0, y is +0, and nothing passes.
      const ones = problem.gamma.map(() => 1);
      const nothing = { ...problem, gamma: ones, beta: ones.map(() => -0), residual: residual.map(() => -0) };
      const flat = { ...nothing, x: { ...problem.x, data: problem.x.data.map(() => 2) } };
      const still = await prepared(backend, flat, memory);
      const off = await trained(still, flat);
      expect(off.y).toEqual(new Float32Array(256));
      expect(off.dresidual).toEqual(new Float32Array(256));
      await backend.dispose();
    });

    it(`stages one after the other give what whole operations give, on the ${memory}`, async () => {
      const backend = await create();
      for (const shape of shapes) {
        const mask = countedBy(masks.scattered!, valuesPerChannel(problemOf(shape).extent));
        for (const combination of combinations) {
          const problem = problemOf(shape, { ...combination, mask });
          const call = await prepared(backend, problem, memory);
          const results = await staged(call);
          expectRight(problem, results);
          const { dresidual } = await trained(call, problem);
          expect(results.dresidual).toEqual(dresidual);
          call.dispose();
        }
      }
      await backend.dispose();
    });

    it(`masked halves that the host merges make the whole, and one may count nothing, on the ${memory}`, async () => {
      const backend = await create();
      for (const counts of [masks.scattered!, (p: number) => p < 20]) {
        const mask = countedBy(counts, 64);
        const whole = problemOf([64, 4], { residual: true, activation: 'relu', mask });
        const half = (which: 0 | 1): Problem => {
          const cut = <T extends Float32Array | Uint8Array>(values: T) =>
            values.slice((which * values.length) / 2, ((which + 1) * values.length) / 2) as T;
          const positions = cut(mask.positions);
          const of = ({ data }: Batch['x']) => ({ data: cut(data as Float32Array), shape: [32, 4] });
          return {
            ...whole,
            x: of(whole.x),
            dy: of(whole.dy),
            residual: cut(whole.residual!),
            mask: { positions, count: positions.reduce((sum, value) => sum + value, 0) },
            extent: { ...whole.extent, outer: 32 },
          };
        };
        const parts = [half(0), half(1)];
        const calls = await Promise.all(parts.map((part) => prepared(backend, part, memory)));
        const none: Moments = { count: 0, mean: new Float64Array(4), m2: new Float64Array(4) };
        const [a, b] = await Promise.all(
          calls.map(async ({ stages, input }) =>
            input.mask!.count === 0 ? none : structuredClone(await read<Moments>(await stages.moments(input))),
          ),
        );
        const batch = mergeMoments(a!, b!);
        const forwards: ForwardOutput<Memory>[] = [];
        for (const { stages, input } of calls) forwards.push(await stages.normalize({ ...input, by: { batch } }));
        const sums = await Promise.all(
          calls.map(async ({ stages, dy }, n) =>
            structuredClone(await read<GradientSums>(await stages.gradientSums({ saved: forwards[n]!.saved, dy }))),
          ),
        );
        const added = (name: keyof GradientSums) => sums[0]![name].map((value, c) => value + sums[1]![name][c]!);
        const total = { dgamma: added('dgamma'), dbeta: added('dbeta') };
        const results: Results[] = [];
        for (const [n, { stages, dy }] of calls.entries()) {
          const { saved } = forwards[n]!;
          const gradients = await stages.inputGradient({ ...noBuffers, saved, dy, sums: undefined, total });
          results.push(await resultsOf(forwards[n]!, gradients));
        }
        const joined = (name: 'y' | 'dx' | 'dresidual') => Float32Array.from(results.flatMap((one) => [...one[name]!]));
        expectRight(whole, { y: joined('y'), dx: joined('dx'), dresidual: joined('dresidual'), ...total });
      }
      await backend.dispose();
    });

    it.skipIf(memory === 'device' && !onHost)(
      `values beyond what float32 can square are right behind relu, masked and with a residual, on the ${memory}`,
      async () => {
        const backend = await create();
        const mask = countedBy(masks.scattered!, 64);
        const ordinary = problemOf([64, 4], { residual: true, activation: 'relu', mask });
        const data = ordinary.x.data.map((value, k) => value * (k % 4 === 1 ? 1e20 : 1)) as Float32Array;
        const problem = { ...ordinary, x: { ...ordinary.x, data } };
        const call = await prepared(backend, problem, memory);
        expectRight(problem, await trained(call, problem));
        // Their own scale: dx is about 1e-20 in that channel.
        const dy = await call.put(problem.dy.data.map((value) => value * 1e20) as Float32Array);
        const large = { ...problem, dy: { ...problem.dy, data: problem.dy.data.map((value) => value * 1e20) } };
        const exact = exactOf(large, (await trained(call, problem)).y);
        const { dx } = await trained(call, problem, { dy });
        const channel = (values: ArrayLike<number>) => Array.from(values).filter((_, k) => k % 4 === 1);
        expect(largestError(channel(dx), channel(exact.dx))).toBeLessThan(2e-6);
        expect(Math.max(...channel(dx))).toBeGreaterThan(0.1);
        await backend.dispose();
      },
    );

    it(`dx may be written over dy, and buffers receive dresidual, on the ${memory}`, async () => {
      const backend = await create();
      for (const { activation } of combinations) {
        const problem = problemOf([64, 4], { residual: true, activation });
        const call = await prepared(backend, problem, memory);
        const expected = await trained(call, problem);
        const [dresidual, y] = [await call.put(new Float32Array(256)), await call.put(new Float32Array(256))];
        const { operations, input, dy } = call;
        const forward = await operations.forwardTraining({ ...input, y, requireFinite: true });
        expect(forward.y).toBe(y);
        const back = { ...noBuffers, saved: forward.saved, dy, dx: dy, dresidual, parameterGradients: false };
        const backward = await operations.backwardTraining(back);
        expect(backward.dx).toBe(dy);
        expect(backward.dresidual).toBe(dresidual);
        const received = await resultsOf(forward, backward);
        for (const name of ['y', 'dx', 'dresidual'] as const) expect(received[name]).toEqual(expected[name]);
      }
      await backend.dispose();
    });

    it(`a gradient passes where y was positive, whatever became of y, on the ${memory}`, async () => {
      const backend = await create();
      const problem = problemOf([64, 4], { activation: 'relu', residual: true });
      const call = await prepared(backend, problem, memory);
      const { y, saved } = await call.operations.forwardTraining({ ...call.input, requireFinite: true });
      const before = (await read<Float32Array>(y as never)).slice();
      if ('dispose' in y) {
        y.view?.().fill(0);
        y.dispose();
      } else y.fill(0);
      const { dresidual } = await call.operations.backwardTraining({
        ...noBuffers,
        saved,
        dy: call.dy,
        parameterGradients: true,
      });
      const expected = problem.dy.data.map((value, k) => (before[k]! > 0 ? value : 0));
      expect(await read<Float32Array>(dresidual as never)).toEqual(expected);
      await backend.dispose();
    });

    it(`masks, residuals and what relu needs are given back, on the ${memory}`, async () => {
      const live = countDeviceMemory();
      const backend = await create();
      const mask = countedBy(masks.scattered!, 64);
      const problem = problemOf([64, 4], { residual: true, activation: 'relu', mask });
      const call = await prepared(backend, problem, memory);
      await trained(call, problem);
      const [bytes, textures] = [backend.allocatedBytes!(), live.live()];
      for (let n = 0; n < 20; n++) await trained(call, problem);
      expect(backend.allocatedBytes!()).toBe(bytes);
      expect(live.live()).toBeLessThanOrEqual(textures);
      // A saved forward keeps them alive, and nothing else does.
      const forward = await call.operations.forwardTraining({ ...call.input, requireFinite: true });
      for (const one of [forward.y, forward.moments]) (one as { dispose?(): void }).dispose?.();
      expect(backend.allocatedBytes!()).toBeGreaterThan(bytes);
      forward.saved.dispose();
      expect(backend.allocatedBytes!()).toBe(bytes);
      await backend.dispose();
      live.restore();
    });
  }
});
