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
  return bounds[quantity].tolerance(0);
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
    for (const quantity of ['dbeta', 'runningMean', 'runningVariance'] as const) {
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
