// The bound grows with what it should, and is never looser than the promises.
import type { Accumulation, Dtype } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { boundsOf, RunningErrors } from '../src/bounds.js';
import type { Quantity } from '../src/tolerance.js';

interface Circumstances {
  readonly dtype: Dtype;
  readonly accumulation: Accumulation;
  readonly valuesPerChannel: number;
  /** |mean| / σ, of a batch that only its statistics describe. */
  readonly conditioning: number;
}

const usual: Circumstances = { dtype: 'float32', accumulation: 'float64', valuesPerChannel: 1000, conditioning: 1 };
const activations: Quantity[] = ['y', 'dx'];
const vectors: Quantity[] = ['dgamma', 'dbeta', 'runningMean', 'runningVariance'];

/** Of a channel of deviation 1 in training, the largest relative error of element 0. */
function tolerance(quantity: Quantity, circumstances: Circumstances): number {
  const { conditioning, valuesPerChannel: M, accumulation } = circumstances;
  const statistics = { mean: Float64Array.of(conditioning), variance: Float64Array.of(1) };
  const running = new RunningErrors(1);
  running.track(statistics, { accumulation, valuesPerChannel: M, kept: 0, runningVariance: 'population' });
  const bounds = boundsOf({
    ...circumstances,
    extent: { outer: M, channels: 1, inner: 1 },
    x: new Float32Array(M),
    normalization: { ...statistics, epsilon: 1e-5, gamma: [1], beta: [0] },
    throughStatistics: true,
    running,
  });
  return bounds[quantity].tolerance[0]!;
}

describe('the tolerance', () => {
  it('is a few units of roundoff of the dtype for activations', () => {
    for (const quantity of activations) {
      expect(tolerance(quantity, usual)).toBeLessThan(25 * 2 ** -24);
      expect(tolerance(quantity, { ...usual, dtype: 'float64', valuesPerChannel: 100 })).toBeLessThan(1e-12);
    }
    expect(tolerance('y', { ...usual, dtype: 'float64' })).toBeLessThan(1e-12);
    expect(tolerance('dx', { ...usual, dtype: 'float64' })).toBeLessThan(3e-12);
  });

  it('grows with the values per channel, but slower than they do', () => {
    for (const quantity of [...activations, ...vectors]) {
      const at = (valuesPerChannel: number) => tolerance(quantity, { ...usual, dtype: 'float64', valuesPerChannel });
      expect(at(100)).toBeGreaterThan(at(10));
      expect(at(1e6)).toBeGreaterThan(at(1e4));
      expect(at(1e6)).toBeLessThan(at(1e4) * 100);
    }
  });

  it('grows with the conditioning where the mean is subtracted', () => {
    for (const quantity of activations) {
      const at = (conditioning: number) => tolerance(quantity, { ...usual, dtype: 'float64', conditioning });
      expect(at(1e6)).toBeGreaterThan(1e5 * at(1));
    }
  });

  it('gives float32 no slack for statistics: at a mean of 1e6 deviations it is still a few roundoffs', () => {
    expect(tolerance('y', { ...usual, conditioning: 1e6 })).toBeLessThan(1e-6);
  });

  it('gives sums float64 accuracy in float32, too: summing 1e5 values in float32 would not do', () => {
    for (const quantity of vectors) {
      expect(tolerance(quantity, { ...usual, valuesPerChannel: 1e5 })).toBeLessThan(2 ** -24 / 1000);
    }
  });

  it('gives blocked and compensated sums the float32 roundings that they have, whatever mean and number of values', () => {
    for (const accumulation of ['blocked-float32', 'compensated-float32'] as const) {
      for (const quantity of [...activations, ...vectors]) {
        const circumstances = { ...usual, accumulation };
        expect(tolerance(quantity, circumstances)).toBeGreaterThan(tolerance(quantity, { ...usual, conditioning: 0 }));
        expect(tolerance(quantity, { ...circumstances, valuesPerChannel: 1e6 })).toBeLessThan(90 * 2 ** -24);
        expect(tolerance(quantity, { ...circumstances, conditioning: 1e6 })).toBeLessThan(90 * 2 ** -24);
      }
    }
  });
});

describe('a sum of float32 numbers', () => {
  const f = Math.fround;
  const M = 20_000;
  const inTurn = (terms: Float32Array, round: (value: number) => number) =>
    terms.reduce((sum, term) => round(sum + term), 0);
  /** In blocks, whose sums are added in turn. */
  const inBlocks = (
    terms: Float32Array,
    length: number,
    sumOf: (block: Float32Array) => number,
    round = (v: number) => v,
  ) => {
    let sum = 0;
    for (let j = 0; j < terms.length; j += length) sum = round(sum + sumOf(terms.subarray(j, j + length)));
    return sum;
  };
  const tree = (terms: Float32Array): number =>
    terms.length === 1
      ? terms[0]!
      : f(tree(terms.subarray(0, terms.length / 2)) + tree(terms.subarray(terms.length / 2)));
  const compensated = (terms: Float32Array) => {
    let [sum, lost] = [0, 0];
    for (const term of terms) {
      const corrected = f(term - lost);
      const next = f(sum + corrected);
      lost = f(f(next - sum) - corrected);
      sum = next;
    }
    return sum;
  };
  const blockedCompensated = (terms: Float32Array) => {
    let [high, low] = [0, 0];
    for (let j = 0; j < terms.length; j += 8) {
      const term = tree(terms.subarray(j, j + 8));
      const next = f(high + term);
      const ofTerm = f(next - high);
      low = f(low + f(f(high - f(next - ofTerm)) + f(term - ofTerm)));
      high = next;
    }
    return high + low;
  };
  const right: Readonly<Record<Accumulation, (terms: Float32Array) => number>> = {
    float64: (terms) => inBlocks(terms, 1024, (block) => inTurn(block, (value) => value)),
    'blocked-float32': (terms) => inBlocks(terms, 8, tree),
    'blocked-compensated-float32': blockedCompensated,
    'compensated-float32': compensated,
    float32: (terms) => inBlocks(terms, 1024, (block) => inTurn(block, f), f),
  };
  /** The error over the bound that `declared` grants. */
  const overBound = (sum: (terms: Float32Array) => number, declared: Accumulation, term: (j: number) => number) => {
    const terms = Float32Array.from({ length: M }, (_, j) => term(j));
    const exact = inTurn(terms, (value) => value);
    const granted = tolerance('dbeta', { ...usual, accumulation: declared, valuesPerChannel: M });
    return Math.abs(sum(terms) / exact - 1) / granted;
  };
  /** Eight terms, again and again: their sum is rounded in the same direction each time. */
  const eights = (j: number) => 1 + (j % 8) * 0.1234567;

  it.each([
    ['like terms', () => 1 / 3],
    ['the same eight terms', eights],
    ['terms that come and go', (j: number) => 2 + Math.sin(j)],
  ] as const)('of %s is within the bound of its arithmetic', (_name, term) => {
    for (const arithmetic of Object.keys(right) as Accumulation[]) {
      expect(overBound(right[arithmetic], arithmetic, term), arithmetic).toBeLessThan(1);
    }
  });

  it.each(['float64', 'blocked-float32', 'blocked-compensated-float32', 'compensated-float32'] as const)(
    'in float32 alone does not pass for %s',
    (declared) => {
      expect(overBound((terms) => inTurn(terms, f), declared, eights)).toBeGreaterThan(1);
    },
  );

  it('in blocks of float32 does not pass for float64', () => {
    expect(overBound(right['blocked-float32'], 'float64', eights)).toBeGreaterThan(1);
  });
});

describe('the bound of a step with extras', () => {
  const extent = { outer: 4, channels: 1, inner: 1 };
  const step = {
    ...({ dtype: 'float32', accumulation: 'float64', extent } as const),
    x: Float32Array.of(1, -1, 1, 100),
    dy: Float32Array.of(1, 2, 3, 4),
    normalization: { mean: [0], variance: [1], epsilon: 0, gamma: [1], beta: [0] },
    throughStatistics: true,
  };
  const mask = { positions: Uint8Array.of(1, 1, 1, 0), count: 3 };
  const boundOf = (quantity: 'y' | 'dx', k: number, extras: object) => {
    const { tolerance, magnitude } = boundsOf({ ...step, ...extras })[quantity];
    return tolerance[k]! * magnitude[k]!;
  };

  it('has one rounding more for a residual, and the size of that', () => {
    const at = (size: number) => boundOf('y', 0, { residual: new Float32Array(4).fill(size) });
    const u = 2 ** -24 + 2 ** -53;
    expect(at(0) - boundOf('y', 0, {})).toBeCloseTo(2 * u, 20);
    expect(at(1e6)).toBeGreaterThan(1e6 * u);
  });

  it('is that of constant statistics where a position does not count', () => {
    expect(boundOf('dx', 3, { mask })).toBeCloseTo(boundOf('dx', 3, { throughStatistics: false }), 10);
    expect(boundOf('dx', 3, { mask })).toBeLessThan(boundOf('dx', 3, {}) / 10);
  });

  it('divides gradients of all positions by those that count', () => {
    const one = { positions: Uint8Array.of(1, 0, 0, 0), count: 1 };
    expect(boundOf('dx', 0, { mask: one })).toBeGreaterThan(3 * boundOf('dx', 0, {}));
  });
});
