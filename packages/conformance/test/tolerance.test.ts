// The tolerance is a bound: it grows with what it should, and is never looser than the promises.
import { describe, expect, it } from 'vitest';
import { type Circumstances, type Quantity, tolerance } from '../src/tolerance.js';

const usual: Circumstances = { dtype: 'float32', accumulation: 'float64', valuesPerChannel: 1000, conditioning: 1 };
const activations: Quantity[] = ['y', 'dx'];
const vectors: Quantity[] = ['dgamma', 'dbeta', 'runningMean', 'runningVariance'];

describe('tolerance', () => {
  it('is a few units of roundoff of the dtype for activations', () => {
    for (const quantity of activations) {
      expect(tolerance(quantity, usual)).toBeLessThan(25 * 2 ** -24);
      expect(tolerance(quantity, { ...usual, dtype: 'float64' })).toBeLessThan(1e-12);
    }
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

  it('gives compensated sums the float32 roundings that they have, whatever the mean and the number of values', () => {
    for (const quantity of [...activations, ...vectors]) {
      const circumstances = { ...usual, accumulation: 'compensated-float32' } as const;
      expect(tolerance(quantity, circumstances)).toBeGreaterThan(tolerance(quantity, { ...usual, conditioning: 0 }));
      expect(tolerance(quantity, { ...circumstances, valuesPerChannel: 1e6 })).toBeLessThan(50 * 2 ** -24);
      expect(tolerance(quantity, { ...circumstances, conditioning: 1e6 })).toBeLessThan(50 * 2 ** -24);
    }
  });
});
