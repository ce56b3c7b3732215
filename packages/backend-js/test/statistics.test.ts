// Batch statistics where float64 has no digit to spare: values a few units of their last digit apart, and whatever leads sums
// around a pivot astray. Compared with whole numbers, because formulas in float64 are no judge of these.
import { normal, type Random, randomSeededBy } from '@batchnorm/conformance';
import { allocate, BatchNorm, type Dtype } from '@batchnorm/core-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';
import { seeds } from './arbitraries.js';
import { errorOf, exactStatistics } from './exact-statistics.js';

const backend = createJsBackend();

/** The values of each channel; the batch has them as rows, or in runs of `run`. */
interface Channels {
  readonly values: readonly Float64Array[];
  readonly dtype?: Dtype;
  readonly run?: number;
}

/**
 * What docs/numerics.md derives for float64 sums around a pivot within one deviation, for up to 8192 values: each is below 1e-12 of
 * a deviation or of the variance. Beside that, the mean is a rounded number.
 */
async function expectExact({ values, dtype = 'float64', run = 1 }: Channels): Promise<void> {
  const C = values.length;
  const M = values[0]!.length;
  const data = allocate(dtype, M * C);
  values.forEach((channel, c) => {
    for (const [j, value] of channel.entries()) data[(Math.floor(j / run) * C + c) * run + (j % run)] = value;
  });
  const layer = new BatchNorm({ backend, numFeatures: C, dtype, momentum: 0 });
  await layer.forward({ data, shape: [M / run, C, run] });
  values.forEach((channel, c) => {
    const exact = exactStatistics(channel);
    const variance = errorOf(0, exact.variance);
    expect(layer.runningVariance[c]).toBeGreaterThanOrEqual(0);
    expect(errorOf(layer.runningVariance[c]!, exact.variance)).toBeLessThanOrEqual(1e-12 * variance);
    expect(errorOf(layer.runningMean[c]!, exact.mean)).toBeLessThanOrEqual(
      1e-12 * Math.sqrt(variance) + 2 ** -53 * errorOf(0, exact.mean),
    );
  });
}

describe('a variance is exact to 1e-12 where values are', () => {
  const evens = [2, 16, 18, 60, 8192];
  for (const M of [...evens, 17, 1001]) {
    it(`one unit of the last digit apart, in turn, around 1e15 (${M} values)`, async () => {
      const values = [0, 1, 2].map((c) => Float64Array.from({ length: M }, (_, j) => 1e15 + ((j + c) % 2) / 8));
      await expectExact({ values });
      await expectExact({ values, run: M });
      if (evens.includes(M)) await expectExact({ values, run: 2 });
    });
  }

  it('times in nanoseconds, 256 ns apart or a few more', async () => {
    const random = randomSeededBy('timestamps');
    const times = (steps: number) => {
      let time = 1.7e18;
      return Float64Array.from({ length: 4096 }, () => {
        time += 256 * Math.floor(steps * random());
        return time;
      });
    };
    for (const run of [1, 4, 1024]) await expectExact({ values: [times(2), times(9), times(1e6)], run });
  });
});

/** The j-th of M values, in units, for a period p. */
const patterns: Record<string, (random: Random, j: number, M: number, p: number) => number> = {
  normal: (random) => normal(random),
  alternating: (_random, j) => j % 2,
  periodic: (random, j, _M, p) => (j % p === 0 ? 100 : 0) + normal(random),
  sorted: (_random, j, M, p) => p * (j / M),
  'in steps': (_random, j, _M, p) => Math.floor(j / p),
  'constant at first': (random, j, M, p) => (j < M / p ? 0 : normal(random)),
  'far at first': (random, j, _M, p) => (j < p ? 1e6 : normal(random)),
  'with one far away': (_random, j, M, p) => (j === Math.floor(M / p) ? 1e9 : 0),
  'in two levels that grow as blocks do': (_random, j) => Math.floor(Math.log2(j / 8 + 1)) % 2,
  'growing twofold': (_random, j) => 2 ** (j % 30),
};

it('mean and variance are exact to 1e-12 for any base, unit and pattern, in both dtypes', async () => {
  const channel = fc.record({
    pattern: fc.constantFrom(...Object.keys(patterns)),
    base: fc.constantFrom(0, 1, -3.3, 1e6, 1e15, 1.7e18, 2 ** 52, -1e20, 1e-20),
    /** Of the base's last digit. */
    units: fc.constantFrom(1, 2, 10, 1000, 1e8),
    period: fc.integer({ min: 2, max: 40 }),
    seed: seeds,
  });
  const batch = fc.record({
    channels: fc.array(channel, { minLength: 1, maxLength: 5 }),
    runs: fc.integer({ min: 1, max: 60 }),
    run: fc.constantFrom(1, 1, 2, 7, 33, 100),
    dtype: fc.constantFrom<Dtype>('float32', 'float64'),
  });
  await fc.assert(
    fc.asyncProperty(batch, async ({ channels, runs, run, dtype }) => {
      const M = runs * run;
      const values = channels.map(({ pattern, base, units, period, seed }) => {
        const random = randomSeededBy(`${seed}`);
        const unit = units * Math.abs(base || 1) * (dtype === 'float32' ? 2 ** -23 : 2 ** -52);
        const values = Float64Array.from(
          { length: M },
          (_, j) => base + unit * patterns[pattern]!(random, j, M, period),
        );
        return dtype === 'float32' ? Float64Array.from(Float32Array.from(values)) : values;
      });
      await expectExact({ values, dtype, run });
    }),
    { seed: 20261127, numRuns: 400 },
  );
});
