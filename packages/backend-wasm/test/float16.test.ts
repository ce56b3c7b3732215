// float16: what a float32 step on the same numbers gives, rounded once more; in every combination, layout and memory.
import { createHash } from 'node:crypto';
import { seededBatch } from '@batchnorm/conformance';
import {
  type CountedPositions,
  type Extent,
  elementsFrom,
  type FloatArray,
  float16Bits,
  float16Numbers,
  type Memory,
  type Moments,
  type Nonlinearity,
  type OnDevice,
  operationsOf,
  type Stages,
} from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import { describe, expect, it } from 'vitest';
import { backends } from './backends.js';
import { read, unfused } from './stages.js';

const unset = { dx: undefined, dresidual: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };

/** A batch of float16 bits, and what may come with it. */
interface Problem {
  readonly extent: Extent;
  readonly activation: Nonlinearity;
  readonly x: Uint16Array;
  readonly residual: Uint16Array | undefined;
  readonly dy: Uint16Array;
  readonly mask: CountedPositions | undefined;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
  /** Instead of those of the batch. */
  readonly given: { readonly mean: Float64Array; readonly variance: Float64Array } | undefined;
}

const bitsOf = (numbers: ArrayLike<number>) => elementsFrom('float16', numbers) as Uint16Array;

function problemOf(extent: Extent, some: Partial<Problem> & { readonly hasResidual?: boolean } = {}): Problem {
  const { x, dy, gamma, beta, epsilon } = seededBatch(extent, { mean: 3 });
  const { hasResidual, ...given } = some;
  const residual = hasResidual ? bitsOf(seededBatch(extent, { seed: 9 }).x) : undefined;
  const plain = { residual, mask: undefined, activation: 'none', given: undefined } as const;
  return { extent, x: bitsOf(x), dy: bitsOf(dy), gamma, beta, epsilon, ...plain, ...given };
}

/** Where and how a step is computed. */
interface Way {
  readonly dtype: 'float16' | 'float32';
  readonly threads: number;
  readonly onDevice: boolean;
  readonly isFused: boolean;
  /** y goes over x where no backward needs it, and dx over dy. */
  readonly inPlace: boolean;
}

const float32Way: Way = { dtype: 'float32', threads: 1, onDevice: false, isFused: true, inPlace: false };

const ways: readonly Way[] = [1, 2].flatMap((threads) =>
  [false, true].flatMap((onDevice) =>
    [false, true].flatMap((isFused) =>
      [false, true].map((inPlace) => ({ dtype: 'float16' as const, threads, onDevice, isFused, inPlace })),
    ),
  ),
);

/** All of a step, on the host. Activations are float16 bits, those of a float32 step rounded to them. */
async function step(problem: Problem, { dtype, threads, onDevice, isFused, inPlace }: Way) {
  const { extent, activation, gamma, beta, epsilon, mask, given } = problem;
  const backend = backends.get(threads)!;
  const kernels = await backend.prepare({ extent, dtype, activation });
  const stages = (onDevice ? kernels.device : kernels) as Stages<Memory>;
  const operations = operationsOf(isFused ? stages : unfused(stages));
  const place = async (bits: Uint16Array) => {
    const data = dtype === 'float16' ? bits.slice() : Float32Array.from(bits, (one) => float16Numbers()[one]!);
    return onDevice ? backend.upload({ data, shape: [data.length] }) : data;
  };
  const rounded = async (activation: FloatArray | OnDevice<FloatArray>) => {
    const data = await read<FloatArray>(activation);
    return data instanceof Uint16Array ? data.slice() : bitsOf(data);
  };
  const [x, dy] = [await place(problem.x), await place(problem.dy)];
  const residual = problem.residual && (await place(problem.residual));
  const input = { x, residual, gamma, beta, epsilon, y: undefined, requireFinite: false };
  const { y, saved, ...found } = given
    ? await operations.forwardInference({ ...input, ...given })
    : await operations.forwardTraining({ ...input, mask });
  const buffers = inPlace ? { ...unset, dx: dy } : unset;
  const { dx, dresidual, dgamma, dbeta } = given
    ? await operations.backwardInference({ saved, dy, ...buffers })
    : await operations.backwardTraining({ saved, dy, ...buffers });
  const none = new Float64Array();
  const { mean, m2 } =
    'moments' in found ? await read<Moments>(found.moments as OnDevice<Moments>) : { mean: none, m2: none };
  const results = {
    y: await rounded(y as FloatArray),
    dx: await rounded(dx as FloatArray),
    dresidual: dresidual && (await rounded(dresidual as FloatArray)),
    dgamma: (await read<Float64Array>(dgamma)).slice(),
    dbeta: (await read<Float64Array>(dbeta)).slice(),
    mean: mean.slice(),
    m2: m2.slice(),
  };
  if (inPlace) {
    const { y: over } = await operations.forwardInference({
      ...input,
      ...(given ?? { mean: beta, variance: gamma.map(Math.abs) }),
      y: x,
    });
    expect(over).toBe(x);
    const again = await rounded(over as FloatArray);
    if (given) expect(Buffer.compare(Buffer.from(again.buffer), Buffer.from(results.y.buffer))).toBe(0);
  }
  for (const one of [x, dy, residual, y, saved, dx, dresidual, dgamma, dbeta, ...Object.values(found)]) {
    Object(one).dispose?.();
  }
  kernels.dispose();
  return results;
}

/** Of all bits of each result, where all NaN are one: a hundred times as fast to compare. */
function digestsOf(results: Awaited<ReturnType<typeof step>>): Record<string, string> {
  const digests = Object.entries(results).map(([name, data]) => {
    const { buffer } = data?.map((value: number) => (Number.isNaN(value) ? Number.NaN : value)) ?? new Uint8Array();
    const bytes = new Uint8Array(buffer);
    return [name, createHash('sha1').update(bytes).digest('hex')];
  });
  return Object.fromEntries(digests);
}

async function expectAsFloat32(problem: Problem): Promise<void> {
  const want = digestsOf(await step(problem, float32Way));
  for (const way of ways) expect(digestsOf(await step(problem, way)), JSON.stringify(way)).toEqual(want);
}

function maskOf({ outer, inner }: Extent): CountedPositions {
  const generator = mersenne(5);
  const positions = Uint8Array.from({ length: outer * inner }, () => Number(uniformFloat64(generator) < 0.7));
  return { positions, count: positions.reduce((sum, one) => sum + one, 0) };
}

const extents: Extent[] = [
  { outer: 33, channels: 7, inner: 1 },
  // Vectors of sixteen channels, and some after them.
  { outer: 700, channels: 101, inner: 1 },
  // Rows that are added up in streams.
  { outer: 1100, channels: 300, inner: 1 },
  { outer: 9, channels: 5, inner: 21 },
  { outer: 5, channels: 70, inner: 403 },
  { outer: 40, channels: 1, inner: 7 },
];

describe.each(extents)('of $outer×$channels×$inner, as a float32 step rounded once more', (extent) => {
  const some = (['none', 'relu'] as const).flatMap((activation) =>
    [false, true].flatMap((hasResidual) =>
      ['batch', 'mask', 'given'].map((statistics) => ({ activation, hasResidual, statistics })),
    ),
  );

  it.each(some)('activation $activation, residual: $hasResidual, statistics: $statistics', async (one) => {
    const { activation, hasResidual, statistics } = one;
    const { gamma, beta } = seededBatch(extent);
    const given = { mean: beta.map((value) => 3 + value), variance: gamma.map(Math.abs) };
    await expectAsFloat32(
      problemOf(extent, {
        activation,
        hasResidual,
        mask: statistics === 'mask' ? maskOf(extent) : undefined,
        given: statistics === 'given' ? given : undefined,
      }),
    );
  });

  it('NaN, ∞, subnormal values, constants, and gammas that float32 does not have', async () => {
    const { channels, inner } = extent;
    const generator = mersenne(3);
    const special = [0x7c00, 0xfc00, 0x7e00, 0xfdff];
    const change = (bits: Uint16Array, subnormal: number) =>
      bits.map((usual, k) => {
        const c = Math.floor(k / inner) % channels;
        if (k < 3 * channels * inner && c === 1) return special[k % 4]!;
        if (c === subnormal) return Math.floor(uniformFloat64(generator) * 0x400) | (k % 2 ? 0x8000 : 0);
        return c === 4 ? 0x3555 : usual;
      });
    const { x, dy, gamma } = problemOf(extent);
    const wide = gamma.map((value, c) => (c % 5 === 0 ? value * 1e-33 : c === 4 ? 1e33 : value));
    for (const activation of ['none', 'relu'] as const) {
      const hard = { x: change(x, 2), dy: change(dy, 3), gamma: wide, activation, hasResidual: activation === 'relu' };
      await expectAsFloat32(problemOf(extent, hard));
    }
  });
});

/** y of x by a mean of 0 and a variance of 1: x, where gamma is 1, and beta, where x is 0. */
function normalized(extent: Extent, x: Uint16Array, beta = new Float64Array(extent.channels)): Uint16Array {
  const of = (value: number) => new Float64Array(extent.channels).fill(value);
  const kernels = backends.get(1)!.prepare({ extent, dtype: 'float16' }) as Stages<Memory> & { dispose(): void };
  const by = { mean: of(0), variance: of(1), epsilon: 0 };
  const output = operationsOf(kernels).forwardInference({
    x,
    gamma: of(1),
    beta,
    ...by,
    residual: undefined,
    y: undefined,
  });
  const { y, saved } = output as { y: Uint16Array; saved: { dispose(): void } };
  saved.dispose();
  kernels.dispose();
  return y;
}

/** The indices and bits of the first that differ. */
function differences(got: Uint16Array, want: Uint16Array): number[][] {
  return Array.from(got, (bits, k) => [k, bits, want[k]!])
    .filter(([, bits, wanted]) => bits !== wanted)
    .slice(0, 3);
}

it.each([
  { outer: 1024, channels: 64, inner: 1 },
  { outer: 21846, channels: 3, inner: 1 },
  { outer: 1, channels: 1, inner: 65536 },
  { outer: 21846, channels: 1, inner: 3 },
])('all bits are read as the number that they are, of $outer×$channels×$inner', (extent) => {
  const length = extent.outer * extent.channels * extent.inner;
  const all = Uint16Array.from({ length }, (_, k) => k);
  // −0 + 0 is 0.
  const want = all.map((bits) => float16Bits(float16Numbers()[bits]! + 0));
  expect(differences(normalized(extent, all), want)).toEqual([]);
});

it.each([1, 3, 5, 16])(
  'all numbers and midpoints, and their neighbours, are rounded to even, in runs of %i',
  (inner) => {
    const word = new Uint32Array(1);
    const float = new Float32Array(word.buffer);
    const values: number[] = [];
    for (let bits = 0; bits < 0x7c00; bits++) {
      const number = float16Numbers()[bits]!;
      const next = bits === 0x7bff ? 65536 : float16Numbers()[bits + 1]!;
      for (const exact of [number, (number + next) / 2]) {
        float[0] = exact;
        word[0]! -= 2;
        for (let k = 0; k < 3; k++) {
          word[0]! += 1;
          if (float[0]! > 0) values.push(float[0]!, -float[0]!);
        }
      }
    }
    values.push(65536, -1e5, 1e30, 3e38, -3e38, 1e-45, -1e-38);
    const beta = Float64Array.from(values);
    const extent = { outer: 1, channels: beta.length, inner };
    const y = normalized(extent, new Uint16Array(beta.length * inner), beta);
    const want = Uint16Array.from(y, (_, k) => float16Bits(beta[Math.floor(k / inner)]!));
    expect(differences(y, want)).toEqual([]);
  },
);

it('what float16 has as 0 does not pass ReLU, and all else that is positive does', async () => {
  const [half, least] = [2 ** -25, 2 ** -24];
  const beta = Float64Array.of(half, half * (1 + 2 ** -23), least, 0, -half, -least, Number.NaN, half, half * 1.5);
  const channels = beta.length;
  const given = { mean: new Float64Array(channels), variance: new Float64Array(channels).fill(1) };
  for (const inner of [1, 6]) {
    const extent = { outer: 2, channels, inner };
    const length = 2 * channels * inner;
    const dy = new Uint16Array(length).fill(0x3c00);
    const problem = problemOf(extent, { x: new Uint16Array(length), dy, beta, given, activation: 'relu', epsilon: 0 });
    const residual = new Uint16Array(length);
    for (const way of ways) {
      const { y, dresidual } = await step({ ...problem, residual }, way);
      const of = (values: number[]) => Uint16Array.from(y, (_, k) => values[Math.floor(k / inner) % channels]!);
      expect(y).toEqual(of([0, 1, 1, 0, 0, 0, 0x7e00, 0, 1]));
      expect(dresidual).toEqual(of([0, 1, 1, 0, 0, 0, 1, 0, 1].map((passes) => passes * 0x3c00)));
    }
  }
});

it('takes half the memory of float32, on the device and for what a host forward keeps', async () => {
  const shape = [64, 32, 33];
  const length = 64 * 32 * 33;
  const bytes = { float16: [] as number[], float32: [] as number[] };
  for (const dtype of ['float16', 'float32'] as const) {
    const backend = backends.get(1)!;
    const before = backend.allocatedBytes!();
    const data = elementsFrom(dtype, new Float64Array(length).fill(1.5));
    const tensor = await backend.upload({ data, shape });
    bytes[dtype].push(backend.allocatedBytes!() - before);
    expect(tensor).toMatchObject({ dtype, shape });
    for (const elements of [await tensor.read(), tensor.view!()]) {
      expect(elements).toHaveLength(length);
      expect(elements.slice(0, 99)).toEqual(data.slice(0, 99));
    }
    tensor.dispose();
    const extent = { outer: 64, channels: 32, inner: 33 };
    const ones = new Float64Array(32).fill(1);
    const kernels = await backend.prepare({ extent, dtype });
    const operations = operationsOf<Memory>(kernels as Stages<Memory>);
    const input = { x: data, residual: undefined, gamma: ones, beta: ones, epsilon: 1e-5, y: undefined };
    const { saved } = await operations.forwardTraining({ ...input, mask: undefined, requireFinite: true });
    await operations.backwardTraining({ ...unset, saved, dy: data });
    bytes[dtype].push(backend.allocatedBytes!() - before);
    saved.dispose();
    kernels.dispose();
    expect(backend.allocatedBytes!()).toBe(before);
  }
  const [tensor, kept] = bytes.float16 as [number, number];
  expect(tensor).toBeLessThan(2 * length + 1024);
  expect(bytes.float32[0]! - tensor).toBe(2 * length);
  // x, dy and two tiles of at most 256 KiB, which are as large; and tables.
  expect(bytes.float32[1]! - kept).toBeGreaterThan(1.9 * 2 * length);
});
