// Masks, residuals and ReLU: kernels against the formulas as they stand, on every layout, and what holds for any numbers.
import { normal, randomSeededBy } from '@batchnorm/conformance';
import {
  allocate,
  BatchNorm,
  type CountedPositions,
  type Dtype,
  type Extent,
  type FloatArray,
  type Kernels,
  type Nonlinearity,
} from '@batchnorm/core-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';
import { extents, seeds } from './arbitraries.js';

const backend = createJsBackend();
const epsilon = 1e-3;

/** Kernels of this backend are synchronous. */
function now<T extends object>(result: T | PromiseLike<T>): T {
  if ('then' in result) throw new Error('received a promise, expected a result');
  return result;
}

/** On both sides of every strip, and of the 8 values whose bits share a byte. */
const layouts: Extent[] = [
  { outer: 61, channels: 21, inner: 1 },
  { outer: 300, channels: 8, inner: 1 },
  { outer: 9, channels: 1, inner: 5 },
  { outer: 40, channels: 3, inner: 5 },
  { outer: 3, channels: 5, inner: 200 },
  { outer: 2, channels: 2, inner: 5003 },
];

const channelOf = ({ channels, inner }: Extent, k: number) => Math.floor(k / inner) % channels;
const positionOf = ({ channels, inner }: Extent, k: number) => Math.floor(k / (channels * inner)) * inner + (k % inner);

type Pattern = (p: number, positions: number, random: () => number) => boolean;
const patterns: Record<string, Pattern> = {
  'every other by chance': (_p, _positions, random) => random() < 0.5,
  'runs of padding': (p) => p % 17 < 11,
  'the second half': (p, positions) => p >= positions / 2,
  'one value': (p, positions) => p === Math.floor(positions / 3),
};

function maskOf(extent: Extent, pattern: Pattern, seed: string): CountedPositions {
  const random = randomSeededBy(seed);
  const size = extent.outer * extent.inner;
  const positions = Uint8Array.from({ length: size }, (_, p) => (pattern(p, size, random) ? 1 : 0));
  // All is no mask, and none has no moments.
  if (!positions.includes(1)) positions[0] = 1;
  if (!positions.includes(0)) positions[size - 1] = 0;
  return { positions, count: positions.reduce((sum, value) => sum + value, 0) };
}

interface Setting {
  readonly extent: Extent;
  readonly dtype: Dtype;
  readonly activation: Nonlinearity;
  readonly hasResidual: boolean;
  readonly mask: CountedPositions | undefined;
  readonly seed: string;
}

function numbersOf({ extent, dtype, hasResidual, mask, seed }: Setting) {
  const random = randomSeededBy(seed);
  const activations = (mean: number) =>
    allocate(dtype, extent.outer * extent.channels * extent.inner).map(() => mean + normal(random)) as FloatArray;
  const vector = (low: number) => Float64Array.from({ length: extent.channels }, () => low + random());
  const x = activations(3);
  // What does not count must not show, whatever it is.
  const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30];
  if (mask) for (let k = 0; k < x.length; k += 3) if (!mask.positions[positionOf(extent, k)]) x[k] = odd[k % 4]!;
  return {
    x,
    dy: activations(0.2),
    residual: hasResidual ? activations(0) : undefined,
    gamma: vector(-0.5),
    beta: vector(-0.5),
    total: { dgamma: vector(-3), dbeta: vector(2) },
  };
}

/** The formulas, one element after the other; the gate of a gradient is that of the y that was computed. */
function formulas(setting: Setting, numbers: ReturnType<typeof numbersOf>, y: FloatArray) {
  const { extent, mask, activation } = setting;
  const { x, dy, residual, gamma, beta, total } = numbers;
  const C = extent.channels;
  const counts = (k: number) => mask === undefined || mask.positions[positionOf(extent, k)] === 1;
  const sums = (term: (k: number, c: number) => number) => {
    const found = new Float64Array(C);
    for (let k = 0; k < x.length; k++) found[channelOf(extent, k)]! += term(k, channelOf(extent, k));
    return found;
  };
  const M = mask?.count ?? extent.outer * extent.inner;
  const rough = sums((k) => (counts(k) ? x[k]! / M : 0));
  const mean = sums((k, c) => (counts(k) ? (x[k]! - rough[c]!) / M : 0)).map((rest, c) => rough[c]! + rest);
  const m2 = sums((k, c) => (counts(k) ? (x[k]! - mean[c]!) ** 2 : 0));
  const invStd = m2.map((square) => 1 / Math.sqrt(square / M + epsilon));
  const xHat = (k: number, c: number) => (x[k]! - mean[c]!) * invStd[c]!;
  const z = (k: number, c: number) => gamma[c]! * xHat(k, c) + beta[c]! + (residual?.[k] ?? 0);
  const g = (k: number) => (activation === 'relu' && y[k]! <= 0 ? 0 : dy[k]!);
  const each = (value: (k: number, c: number) => number) => Array.from(x, (_, k) => value(k, channelOf(extent, k)));
  return {
    M,
    mean,
    m2,
    y: each((k, c) => (activation === 'relu' && z(k, c) <= 0 ? 0 : z(k, c))),
    g: each(g),
    dgamma: sums((k, c) => g(k) * xHat(k, c)),
    dbeta: sums(g),
    dx: each((k, c) => {
      const through = counts(k) ? (total.dbeta[c]! + xHat(k, c) * total.dgamma[c]!) / M : 0;
      return gamma[c]! * invStd[c]! * (g(k) - through);
    }),
    dxOfConstants: each((k, c) => gamma[c]! * invStd[c]! * g(k)),
  };
}

/** Within `tolerance` of the largest that is wanted and finite; the same where it is not finite. */
function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  const finite = Array.from(want).filter(Number.isFinite);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  expect(got.length).toBe(want.length);
  for (let k = 0; k < want.length; k++) {
    const isClose = Number.isFinite(want[k])
      ? Math.abs(got[k]! - want[k]!) <= tolerance * Math.max(1, Math.min(largest, 1 + 16 * Math.abs(want[k]!)))
      : Object.is(got[k], want[k]);
    if (!isClose) expect.fail(`[${k}]: received ${got[k]}, expected ${want[k]}`);
  }
}

function expectFormulas(setting: Setting): void {
  const { extent, dtype, activation, mask } = setting;
  const tolerance = dtype === 'float32' ? 2e-6 : 1e-12;
  const numbers = numbersOf(setting);
  const { x, dy, residual, gamma, beta, total } = numbers;
  const kernels = backend.prepare({ extent, dtype, activation }) as Kernels;
  const batch = now(kernels.moments({ x, epsilon, mask }));
  // What is left of a forward behind which ReLU was off everywhere must not show in the next.
  const least = { given: { mean: gamma, variance: new Float64Array(gamma.length).fill(1e30) } };
  const off = { x: dy, residual: undefined, gamma, beta: beta.map(() => -1e9), epsilon, y: undefined, by: least };
  now(kernels.normalize(off)).saved.dispose();
  const forward = now(kernels.normalize({ x, residual, mask, gamma, beta, epsilon, by: { batch }, y: undefined }));
  const { y, saved } = forward;
  const want = formulas(setting, numbers, y);
  expect(batch.count).toBe(want.M);
  expectClose(batch.mean, want.mean, 1e-13);
  expectClose(batch.m2, want.m2, 1e-12);
  expectClose(y, want.y, tolerance);
  const sums = now(kernels.gradientSums({ saved, dy }));
  expectClose(sums.dgamma, want.dgamma, 1e-11);
  expectClose(sums.dbeta, want.dbeta, 1e-11);
  const buffers = { dresidual: undefined, dgamma: undefined, dbeta: undefined };
  // In a buffer of its own, then over dy itself.
  for (const { dx: buffer, of, through } of [
    { dx: undefined, of: want.dxOfConstants, through: null },
    { dx: undefined, of: want.dx, through: total },
    { dx: dy, of: want.dx, through: total },
  ]) {
    const output = now(kernels.inputGradient({ saved, dy, sums: undefined, total: through, dx: buffer, ...buffers }));
    expectClose(output.dx, of, 4 * tolerance);
    expect(output.dresidual && Array.from(output.dresidual)).toEqual(residual && want.g);
  }
  saved.dispose();
}

for (const dtype of ['float32', 'float64'] as const) {
  describe(`${dtype}: the formulas hold`, () => {
    for (const extent of layouts) {
      for (const activation of ['none', 'relu'] as const) {
        for (const hasResidual of [false, true]) {
          const text = `${Object.values(extent)}, ${activation}${hasResidual ? ', residual' : ''}`;
          const setting = { extent, dtype, activation, hasResidual, seed: text };
          it(`without a mask (${text})`, () => expectFormulas({ ...setting, mask: undefined }));
          it.each(Object.entries(patterns))(`with a mask of %s (${text})`, (_name, pattern) =>
            expectFormulas({ ...setting, mask: maskOf(extent, pattern, text) }),
          );
        }
      }
    }
  });
}

describe('ReLU', () => {
  /** 16 channels, or 2 runs of 16: x − mean is x where gamma is 1, and beta and the mean are 0. */
  const run = (x: FloatArray, dy: FloatArray, extent: Extent, dtype: Dtype) => {
    const C = extent.channels;
    const kernels = backend.prepare({ extent, dtype, activation: 'relu' }) as Kernels;
    const given = { mean: new Float64Array(C), variance: new Float64Array(C).fill(1) };
    const [gamma, beta] = [new Float64Array(C).fill(1), new Float64Array(C)];
    // −0 is a residual that leaves −0 as it is.
    const residual = allocate(dtype, x.length).fill(-0);
    const forward = now(kernels.normalize({ x, residual, gamma, beta, epsilon: 0, by: { given }, y: undefined }));
    const buffers = { dx: undefined, dresidual: undefined, dgamma: undefined, dbeta: undefined };
    const output = now(kernels.inputGradient({ saved: forward.saved, dy, sums: undefined, total: null, ...buffers }));
    return { y: Array.from(forward.y), g: Array.from(output.dresidual!) };
  };
  const values = [Number.NaN, -0, 0, -1, 1, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -1e-40, 1e-40];

  for (const dtype of ['float32', 'float64'] as const) {
    for (const extent of [
      { outer: 2, channels: 21, inner: 1 },
      { outer: 1, channels: 2, inner: 21 },
    ]) {
      const data = allocate(dtype, 42).map((_, k) => values[k % values.length]!) as FloatArray;
      const elements = Array.from(data);

      it(`makes +0 of what is not above 0, lets NaN pass, and so with its gradient (${dtype}, ${extent.inner})`, () => {
        const dy = allocate(dtype, 42).map((_, k) => -1 - k) as FloatArray;
        const { y, g } = run(data, dy, extent, dtype);
        expect(y).toEqual(elements.map((z) => Math.max(z, 0)));
        expect(g).toEqual(elements.map((z, k) => (z <= 0 ? 0 : dy[k]!)));
      });

      it(`leaves nothing of a dy that is not finite, and −0 as it is (${dtype}, ${extent.inner})`, () => {
        const upstream = [Number.NaN, Number.POSITIVE_INFINITY, -0, Number.NEGATIVE_INFINITY];
        const dy = allocate(dtype, 42).map((_, k) => upstream[k % 4]!) as FloatArray;
        expect(run(data, dy, extent, dtype).g).toEqual(elements.map((z, k) => (z <= 0 ? 0 : dy[k]!)));
      });
    }
  }

  it('lets a gradient pass exactly where y, as it is stored, is above 0', () => {
    const extent = { outer: 3, channels: 1, inner: 1 };
    const kernels = backend.prepare({ extent, dtype: 'float32', activation: 'relu' }) as Kernels;
    const given = { mean: new Float64Array(1), variance: new Float64Array([1]) };
    // Half of the smallest float32 is stored as 0, and anything more is not.
    const gamma = new Float64Array([2 ** -150]);
    const x = new Float32Array([1, 1.5, 2]);
    const forward = now(
      kernels.normalize({ x, gamma, beta: new Float64Array(1), epsilon: 0, by: { given }, y: undefined }),
    );
    expect(Array.from(forward.y)).toEqual([0, 2 ** -149, 2 ** -149]);
    const sums = now(kernels.gradientSums({ saved: forward.saved, dy: new Float32Array([1, 10, 100]) }));
    expect(sums.dbeta[0]).toBe(110);
  });
});

describe('for every extent and mask', () => {
  const masked = fc
    .record({ extent: extents, seed: seeds, share: fc.constantFrom(0.05, 0.5, 0.95) })
    .filter(({ extent }) => extent.outer * extent.inner > 4);
  const momentsOf = (x: FloatArray, extent: Extent, mask?: CountedPositions) => {
    const found = now((backend.prepare({ extent, dtype: 'float64' }) as Kernels).moments({ x, epsilon, mask }));
    return { count: found.count, mean: Array.from(found.mean), m2: Array.from(found.m2) };
  };

  it('moments are, to the bit, those of a batch of the rows that count', () =>
    fc.assert(
      fc.property(masked, ({ extent, seed, share }) => {
        const mask = maskOf(extent, (_p, _positions, random) => random() < share, `${seed}`);
        const random = randomSeededBy(`${seed}`);
        const x = new Float64Array(extent.outer * extent.channels * extent.inner).map(() => 100 + normal(random));
        const rows = new Float64Array(mask.count * extent.channels);
        const places = Array.from(mask.positions.keys()).filter((p) => mask.positions[p] === 1);
        for (const [j, p] of places.entries()) {
          for (let c = 0; c < extent.channels; c++) {
            const [o, i] = [Math.floor(p / extent.inner), p % extent.inner];
            rows[j * extent.channels + c] = x[(o * extent.channels + c) * extent.inner + i]!;
          }
        }
        const gathered = { outer: mask.count, channels: extent.channels, inner: 1 };
        expect(momentsOf(x, extent, mask)).toEqual(momentsOf(rows, gathered));
      }),
      { seed: 20261128, numRuns: 150 },
    ));

  it('a mask of ones is, to the bit, none', () =>
    fc.assert(
      fc.asyncProperty(masked, async ({ extent: { outer, channels, inner }, seed }) => {
        const random = randomSeededBy(`${seed}`);
        const shape = [outer, channels, inner];
        const tensor = () => ({ data: new Float32Array(outer * channels * inner).map(() => normal(random)), shape });
        const [x, dy, residual] = [tensor(), tensor(), tensor()];
        const mask = { data: new Uint8Array(outer).fill(1), shape: [outer] };
        const results = [{ residual }, { residual, mask }].map(async (options) => {
          const layer = new BatchNorm({ backend, numFeatures: channels, activation: 'relu' });
          return { y: await layer.forward(x, options), ...(await layer.backward(dy)), state: await layer.state() };
        });
        const [without, withOnes] = await Promise.all(results);
        expect(withOnes).toEqual(without);
      }),
      { seed: 20261128, numRuns: 60 },
    ));
});
