// Masks, residuals and ReLU: against the formulas as they stand, in every combination, layout and memory.
import { createHash } from 'node:crypto';
import { seededBatch } from '@batchnorm/conformance';
import {
  type BackwardOutput,
  type CountedPositions,
  type Dtype,
  type Extent,
  type FloatArray,
  type Memory,
  type Nonlinearity,
  operationsOf,
  type Stages,
} from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { backends } from './backends.js';
import { read, unfused } from './stages.js';

const unset = { dx: undefined, dresidual: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
const dtypes: Dtype[] = ['float32', 'float64'];
const activations: Nonlinearity[] = ['none', 'relu'];

/** A batch, and what may come with it. */
interface Problem {
  readonly extent: Extent;
  readonly dtype: Dtype;
  readonly activation: Nonlinearity;
  readonly x: FloatArray;
  readonly residual: FloatArray | undefined;
  readonly mask: CountedPositions | undefined;
  readonly dy: FloatArray;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
  /** Instead of those of the batch. */
  readonly given: { readonly mean: Float64Array; readonly variance: Float64Array } | undefined;
}

/** All of a step, on the host; `moments` are [mean, m2], and absent where statistics were given. */
interface Results {
  readonly y: FloatArray;
  readonly dx: FloatArray;
  readonly dresidual?: FloatArray | undefined;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
  readonly moments: Float64Array[];
}

const masks: Readonly<Record<string, (extent: Extent) => CountedPositions>> = {
  // Sequences that are padded where they begin.
  'runs of it count': ({ outer, inner }) => {
    const length = inner > 1 ? inner : Math.ceil(outer / 2);
    return maskOf(outer * inner, (p) => p % length >= (Math.floor(p / length) * 850 + 400) % length);
  },
  'some of it count': ({ outer, inner }) => {
    const generator = mersenne(5);
    return maskOf(outer * inner, () => uniformFloat64(generator) < 0.7);
  },
  'one position counts': ({ outer, inner }) => {
    const M = outer * inner;
    return maskOf(M, (p) => p === Math.floor(M / 3));
  },
};

function maskOf(length: number, counts: (p: number) => boolean): CountedPositions {
  const positions = Uint8Array.from({ length }, (_, p) => Number(counts(p)));
  return { positions, count: positions.reduce((sum, one) => sum + one, 0) };
}

function problemOf(extent: Extent, dtype: Dtype, some: Partial<Problem> & { readonly hasResidual?: boolean }): Problem {
  const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype, mean: 3 });
  const { x: other } = seededBatch(extent, { dtype, seed: 9 });
  const { hasResidual, ...given } = some;
  const residual = hasResidual ? other : undefined;
  const plain = { residual, mask: undefined, activation: 'none', given: undefined } as const;
  return { extent, dtype, x, dy, gamma, beta, epsilon, ...plain, ...given };
}

/** Whether element `k` counts. */
function countsAt({ extent: { channels, inner }, mask }: Problem, k: number): boolean {
  return mask === undefined || mask.positions[Math.floor(k / (channels * inner)) * inner + (k % inner)] === 1;
}

interface Way {
  readonly threads: number;
  readonly onDevice: boolean;
  readonly isFused: boolean;
  /** dx goes over dy. */
  readonly inPlace?: boolean;
}

async function step(problem: Problem, { threads, onDevice, isFused, inPlace = false }: Way): Promise<Results> {
  const backend = backends.get(threads)!;
  const before = backend.allocatedBytes!();
  const kernels = await backend.prepare({
    extent: problem.extent,
    dtype: problem.dtype,
    activation: problem.activation,
  });
  const stages = (onDevice ? kernels.device : kernels) as Stages<Memory>;
  const operations = operationsOf(isFused ? stages : unfused(stages));
  const place = async (data: FloatArray) => (onDevice ? backend.upload({ data, shape: [data.length] }) : data.slice());
  const { gamma, beta, epsilon, mask, given } = problem;
  const [x, dy] = [await place(problem.x), await place(problem.dy)];
  const residual = problem.residual && (await place(problem.residual));
  const input = { x, residual, gamma, beta, epsilon, y: undefined, requireFinite: false };
  const { y, saved, ...found } = given
    ? await operations.forwardInference({ ...input, ...given })
    : await operations.forwardTraining({ ...input, mask });
  const buffers = inPlace ? { ...unset, dx: dy } : unset;
  const gradients: BackwardOutput<Memory> = given
    ? await operations.backwardInference({ saved, dy, ...buffers })
    : await operations.backwardTraining({ saved, dy, ...buffers });
  const moments = 'moments' in found ? await read(found.moments as never) : undefined;
  const { mean, m2 } = Object(moments) as { mean: Float64Array; m2: Float64Array };
  const results = {
    y: await read<FloatArray>(y),
    dx: await read<FloatArray>(gradients.dx),
    ...('dresidual' in gradients && { dresidual: await read<FloatArray>(gradients.dresidual!) }),
    dgamma: (await read<Float64Array>(gradients.dgamma)).slice(),
    dbeta: (await read<Float64Array>(gradients.dbeta)).slice(),
    moments: moments ? [mean.slice(), m2.slice()] : [],
  };
  for (const one of [x, dy, residual, y, saved, ...Object.values(found), ...Object.values(gradients)]) {
    Object(one).dispose?.();
  }
  kernels.dispose();
  expect(backend.allocatedBytes!()).toBe(before);
  return results;
}

/** The formulas as they stand, in float64, where `y` says what ReLU let pass. */
function reference(problem: Problem, y: FloatArray): Results {
  const { extent, x, residual, mask, dy, gamma, beta, epsilon, activation, given } = problem;
  const { outer, channels, inner } = extent;
  const results = {
    y: new Float64Array(x.length),
    dx: new Float64Array(x.length),
    dresidual: new Float64Array(x.length),
    dgamma: new Float64Array(channels),
    dbeta: new Float64Array(channels),
    moments: [new Float64Array(channels), new Float64Array(channels)],
  };
  const g = dy.map((value, k) => (activation === 'relu' && y[k]! <= 0 ? 0 : value));
  const M = mask?.count ?? outer * inner;
  const counts = (p: number) => mask === undefined || mask.positions[p] === 1;
  for (let c = 0; c < channels; c++) {
    const each = (visit: (k: number, p: number) => void) => {
      for (let p = 0; p < outer * inner; p++) {
        visit((Math.floor(p / inner) * channels + c) * inner + (p % inner), p);
      }
    };
    let [mean, m2] = [0, 0];
    each((k, p) => {
      if (counts(p)) mean += x[k]! / M;
    });
    each((k, p) => {
      if (counts(p)) m2 += (x[k]! - mean) ** 2;
    });
    results.moments[0]![c] = mean;
    results.moments[1]![c] = m2;
    const variance = given ? given.variance[c]! : m2 / M;
    if (given) mean = given.mean[c]!;
    const invStd = 1 / Math.sqrt(variance + epsilon);
    const xHat = (k: number) => (x[k]! - mean) * invStd;
    each((k) => {
      const z = gamma[c]! * xHat(k) + beta[c]! + (residual ? residual[k]! : 0);
      results.y[k] = activation === 'relu' && z <= 0 ? 0 : z;
      results.dgamma[c]! += g[k]! === 0 ? 0 : g[k]! * xHat(k);
      results.dbeta[c]! += g[k]!;
      results.dresidual[k] = g[k]!;
    });
    each((k, p) => {
      const throughStatistics = given || !counts(p) ? 0 : (results.dbeta[c]! + xHat(k) * results.dgamma[c]!) / M;
      results.dx[k] = gamma[c]! * invStd * (g[k]! - throughStatistics);
    });
  }
  return results;
}

function largest(values: ArrayLike<number>): number {
  return Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 1);
}

/** Relative to the largest. */
function error(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  const scale = largest(want);
  return Array.from(got).reduce((most, value, k) => {
    if (Object.is(value, want[k])) return most;
    const difference = Math.abs(value - want[k]!) / scale;
    return Number.isNaN(difference) ? Infinity : Math.max(most, difference);
  }, 0);
}

function expectClose(problem: Problem, got: Results, bound = problem.dtype === 'float32' ? 2e-6 : 1e-13): void {
  const want = reference(problem, got.y);
  expect(error(got.y, want.y), 'y').toBeLessThan(bound);
  expect(error(got.dx, want.dx), 'dx').toBeLessThan(10 * bound);
  expect(error(got.dgamma, want.dgamma), 'dgamma').toBeLessThan(bound);
  expect(error(got.dbeta, want.dbeta), 'dbeta').toBeLessThan(bound);
  for (const [n, values] of got.moments.entries()) expect(error(values, want.moments[n]!)).toBeLessThan(bound);
  if (problem.residual) expect(Float64Array.from(got.dresidual!)).toEqual(want.dresidual);
  else expect(got).not.toHaveProperty('dresidual');
}

function digestOf({ moments, ...results }: Results): string {
  const digest = createHash('sha1');
  for (const { buffer, byteOffset, byteLength } of [...Object.values(results), ...moments] as FloatArray[]) {
    digest.update(Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength));
  }
  return digest.digest('hex');
}

/** In both memories, by one thread and by two, as operations and as stages, with dx beside dy and over it. */
const ways: readonly Way[] = [1, 2].flatMap((threads) =>
  [false, true].flatMap((onDevice) =>
    [false, true].flatMap((isFused) => [false, true].map((inPlace) => ({ threads, onDevice, isFused, inPlace }))),
  ),
);

async function expectOneResult(problem: Problem): Promise<Results> {
  const [first, ...others] = ways;
  const results = await step(problem, first!);
  for (const way of others) expect(digestOf(await step(problem, way)), JSON.stringify(way)).toBe(digestOf(results));
  return results;
}

const extents: Extent[] = [
  { outer: 33, channels: 7, inner: 1 },
  { outer: 700, channels: 101, inner: 1 },
  // Rows of more than 1 kB, which are added up in streams.
  { outer: 600, channels: 260, inner: 1 },
  { outer: 9, channels: 5, inner: 21 },
  { outer: 5, channels: 70, inner: 403 },
  // Runs of several blocks.
  { outer: 2, channels: 3, inner: 3001 },
  { outer: 40, channels: 1, inner: 7 },
];

describe.each(extents)('of $outer×$channels×$inner', (extent) => {
  describe.each(dtypes)('%s', (dtype) => {
    const combinations = activations.flatMap((activation) =>
      [false, true].flatMap((hasResidual) => [false, true].map((isGiven) => ({ activation, hasResidual, isGiven }))),
    );

    it.each(combinations)(
      'activation $activation, residual: $hasResidual, given statistics: $isGiven',
      async (some) => {
        const { activation, hasResidual, isGiven } = some;
        const { gamma, beta } = problemOf(extent, dtype, {});
        const given = isGiven ? { mean: beta.map((value) => 3 + value), variance: gamma.map(Math.abs) } : undefined;
        const problem = problemOf(extent, dtype, { activation, hasResidual, given });
        expectClose(problem, await expectOneResult(problem));
      },
    );

    it.each(Object.keys(masks))('%s: whatever the others are', async (name) => {
      const mask = masks[name]!(extent);
      for (const activation of activations) {
        const problem = problemOf(extent, dtype, { activation, hasResidual: activation === 'relu', mask });
        const results = await expectOneResult(problem);
        expectClose(problem, results);
        // What does not count shows nowhere else, not even in pivots.
        const isCounted = (k: number) => countsAt(problem, k);
        const x = problem.x.map((value, k) => (isCounted(k) ? value : [Number.NaN, Infinity, 3e38][k % 3]!));
        for (const onDevice of [false, true]) {
          const other = await step({ ...problem, x }, { threads: 2, onDevice, isFused: true });
          expect(other.moments).toEqual(results.moments);
          expect(other.y.filter((_, k) => isCounted(k))).toEqual(results.y.filter((_, k) => isCounted(k)));
          if (problem.residual) expect(other.dresidual!.every(Number.isFinite)).toBe(true);
        }
      }
    });
  });
});

/** Some channels whose passes would overflow in the dtype, or lose digits: those are wide. */
function withWideChannels(problem: Problem): Problem {
  const { dtype, extent } = problem;
  const ofChannel = (k: number) => Math.floor(k / extent.inner) % extent.channels;
  // Of float64 a scale, since it has no variance of 1e600.
  const sizes = dtype === 'float32' ? [1, 1e33, 1, 1, 1, 1e-33, 1, 1, 1e20] : [1, 1e150, 1, 1, 1, 1e-130, 1, 1, 1e100];
  const scales = dtype === 'float32' ? [] : [1, 1, 1e290, 1, 1, 1, 1e-290, 1, 1];
  return {
    ...problem,
    x: problem.x.map((value, k) => value * sizes[ofChannel(k)]!),
    gamma: problem.gamma.map((value, c) => value * (scales[c] ?? 1)),
    epsilon: 1e-270,
  };
}

/** Of each channel relative to its largest. */
function errorOfChannels({ extent: { channels, inner } }: Problem, got: FloatArray, want: FloatArray): number {
  let worst = 0;
  for (let c = 0; c < channels; c++) {
    const isOf = (_: number, k: number) => Math.floor(k / inner) % channels === c;
    const [mine, exact] = [Float64Array.from(got).filter(isOf), Float64Array.from(want).filter(isOf)];
    const size = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    worst = Math.max(
      worst,
      error(
        mine.map((value) => value / size),
        exact.map((value) => value / size),
      ),
    );
  }
  return worst;
}

describe.each([
  { outer: 66, channels: 9, inner: 1 },
  { outer: 6, channels: 9, inner: 33 },
])('of channels that are wide among others, $outer×$channels×$inner', (extent) => {
  it.each(dtypes)('%s: results are those of the formulas, and the same everywhere', async (dtype) => {
    for (const activation of activations) {
      for (const hasResidual of [false, true]) {
        for (const mask of [undefined, ...Object.values(masks).map((make) => make(extent))]) {
          if (mask?.count === 1) continue;
          const problem = withWideChannels(problemOf(extent, dtype, { activation, hasResidual, mask }));
          const results = await expectOneResult(problem);
          const want = reference(problem, results.y);
          const bound = dtype === 'float32' ? 2e-6 : 1e-13;
          expect(errorOfChannels(problem, results.y, want.y), 'y').toBeLessThan(bound);
          expect(errorOfChannels(problem, results.dx, want.dx), 'dx').toBeLessThan(10 * bound);
          const each = { ...problem, extent: { ...extent, inner: 1 } };
          expect(errorOfChannels(each, results.dgamma, want.dgamma), 'dgamma').toBeLessThan(10 * bound);
          if (hasResidual) expect(Float64Array.from(results.dresidual!)).toEqual(want.dresidual);
          const x = problem.x.map((value, k) => (countsAt(problem, k) ? value : Number.NaN));
          for (const onDevice of [false, true]) {
            const other = await step({ ...problem, x }, { threads: 1, onDevice, isFused: true });
            expect(other.moments).toEqual(results.moments);
          }
        }
      }
    }
  });
});

it('ReLU lets NaN pass, and its gradient; and 0, of either sign, gets none', async () => {
  const extent = { outer: 1, channels: 5, inner: 1 };
  const one = new Float64Array(5).fill(1);
  const given = { mean: new Float64Array(5), variance: one };
  const problem = problemOf(extent, 'float32', { activation: 'relu', given, hasResidual: true });
  const x = Float32Array.of(Number.NaN, -0, 0, 1e-45, -1);
  const special = { ...problem, x, residual: Float32Array.of(0, -0, 0, 0, 1), dy: new Float32Array(5).fill(2) };
  for (const way of ways) {
    const { y, dx, dresidual } = await step(
      { ...special, gamma: one, beta: new Float64Array(5).fill(-0), epsilon: 0 },
      way,
    );
    expect(y).toEqual(Float32Array.of(Number.NaN, 0, 0, 1e-45, 0));
    expect(y.every((value) => !Object.is(value, -0))).toBe(true);
    expect(dresidual).toEqual(Float32Array.of(2, 0, 0, 2, 0));
    expect(dx).toEqual(Float32Array.of(2, 0, 0, 2, 0));
  }
});

it.each([false, true])(
  'a mask by which nothing counts normalises by moments of others, on the device: %s',
  async (onDevice) => {
    const extent = { outer: 40, channels: 3, inner: 2 };
    const backend = backends.get(2)!;
    const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32' });
    const kernels = await backend.prepare({ extent, dtype: 'float32' });
    const stages = (onDevice ? kernels.device : kernels) as Stages<Memory>;
    const place = async (data: FloatArray) => (onDevice ? backend.upload({ data, shape: [data.length] }) : data);
    const batch = { count: 7, mean: Float64Array.of(1, 2, 3), m2: Float64Array.of(7, 14, 28) };
    const mask = maskOf(80, () => false);
    const input = { x: await place(x), gamma, beta, epsilon, y: undefined, mask, by: { batch } };
    const { y, saved } = await stages.normalize(input);
    const upstream = await place(dy);
    const sums = await stages.gradientSums({ saved, dy: upstream });
    const { dx } = await stages.inputGradient({ ...unset, saved, dy: upstream, sums, total: sums });
    const scale = (k: number) => gamma[Math.floor(k / 2) % 3]! / Math.sqrt([1, 2, 4][Math.floor(k / 2) % 3]! + epsilon);
    const want = x.map(
      (value, k) => scale(k) * (value - [1, 2, 3][Math.floor(k / 2) % 3]!) + beta[Math.floor(k / 2) % 3]!,
    );
    expect(error(await read<FloatArray>(y), want)).toBeLessThan(1e-6);
    expect(
      error(
        await read<FloatArray>(dx),
        dy.map((value, k) => value * scale(k)),
      ),
    ).toBeLessThan(1e-6);
  },
);

describe('what memory has no room for', () => {
  it.each([false, true])('is refused and leaves nothing behind, on the device: %s', async (onDevice) => {
    const [outer, channels] = [4, 10_000];
    const backend = await createWasmBackend({ threads: 1, maxBytes: 6 << 20 });
    const extent = { outer, channels, inner: 1 };
    const data = new Float32Array(outer * channels).fill(1);
    const mask = maskOf(outer, (p) => p > 0);
    const parameters = { gamma: new Float64Array(channels), beta: new Float64Array(channels), epsilon: 1e-5 };
    const x = onDevice ? await backend.upload({ data, shape: [outer, channels] }) : data;
    const call = async () => {
      const kernels = await backend.prepare({ extent, dtype: 'float32', activation: 'relu' });
      const made: object[] = [kernels];
      try {
        const operations = operationsOf((onDevice ? kernels.device : kernels) as Stages<Memory>);
        const input = { ...parameters, x, residual: x, mask, y: undefined, requireFinite: false };
        const forward = await operations.forwardTraining(input);
        made.unshift(...Object.values(forward));
        made.unshift(...Object.values(await operations.backwardTraining({ ...unset, saved: forward.saved, dy: x })));
      } finally {
        for (const one of made) Object(one).dispose?.();
      }
    };
    let refused = 0;
    const taken: { dispose(): void }[] = [];
    // Less and less room, so that the call runs out at each of its steps.
    await expectCode('LIMIT_EXCEEDED', async () => {
      for (;;) {
        const before = backend.allocatedBytes!();
        await call().catch((error) => {
          expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED' });
          refused++;
        });
        expect(backend.allocatedBytes!()).toBe(before);
        taken.push(await backend.upload({ data: new Float32Array(2500), shape: [2500] }));
      }
    });
    expect(refused).toBeGreaterThan(20);
    await backend.dispose();
  });
});
