// Errors of running statistics: exact before the first batch, and never more than what each batch and each average
// adds.
import { expect, it } from 'vitest';
import { boundsOf, RunningErrors } from '../src/bounds.js';

const tracked = { accumulation: 'compensated-float32', valuesPerChannel: 100, runningVariance: 'population' } as const;
const statistics = (mean: number, deviation: number) => ({
  mean: Float64Array.of(mean),
  variance: Float64Array.of(deviation ** 2),
});

it('are 0 in a new layer, and the bounds of its inference are those of the arithmetic alone', () => {
  const running = new RunningErrors(1);
  expect(running.errors).toEqual({ mean: Float64Array.of(0), variance: Float64Array.of(0) });
  const { y, dx, runningMean, runningVariance } = boundsOf({
    dtype: 'float32',
    accumulation: 'float32',
    extent: { outer: 3, channels: 1, inner: 1 },
    x: [1, 2, 3],
    dy: [1, 2, 3],
    normalization: { mean: [0], variance: [1], epsilon: 1e-5, gamma: [1], beta: [0] },
    throughStatistics: false,
    running,
  });
  for (const bound of [y, dx]) expect(bound.tolerance[0]).toBeLessThan(11 * 2 ** -24);
  for (const bound of [runningMean, runningVariance]) expect(bound.tolerance[0]).toBe(0);
});

it('of momentum 0 are those of the latest batch, however rough the one before it was', () => {
  const [running, fresh] = [new RunningErrors(1), new RunningErrors(1)];
  running.track(statistics(0, 1000), { ...tracked, kept: 0 });
  running.track(statistics(100, 1e-3), { ...tracked, kept: 0 });
  fresh.track(statistics(100, 1e-3), { ...tracked, kept: 0 });
  expect(running.errors).toEqual(fresh.errors);
  expect(running.errors.mean[0]!).toBeLessThan(1e-9);
});

it('of any other momentum decay as what they belong to does', () => {
  const running = new RunningErrors(1);
  running.track(statistics(0, 1000), { ...tracked, kept: 0.5 });
  const first = running.errors;
  for (let n = 0; n < 10; n++) running.track(statistics(0, 1e-3), { ...tracked, kept: 0.5 });
  expect(running.errors.mean[0]! / first.mean[0]!).toBeCloseTo(2 ** -10, 4);
  expect(running.errors.variance[0]! / first.variance[0]!).toBeCloseTo(2 ** -10, 4);
});

it('are 0 again when statistics are given', () => {
  const running = new RunningErrors(1);
  running.track(statistics(7, 3), { ...tracked, kept: 0.9 });
  running.reset(statistics(-5, 2));
  expect(running.errors).toEqual({ mean: Float64Array.of(0), variance: Float64Array.of(0) });
  expect([running.mean.magnitude[0], running.variance.magnitude[0]]).toEqual([5, 4]);
});

it('take M/(M − 1) of the error where the running variance is the sample variance', () => {
  const [population, sample] = [new RunningErrors(1), new RunningErrors(1)];
  const two = { ...tracked, valuesPerChannel: 2, kept: 0 };
  population.track(statistics(0, 1), two);
  sample.track(statistics(0, 1), { ...two, runningVariance: 'sample' });
  expect(sample.errors.variance[0]).toBeCloseTo(2 * population.errors.variance[0]!, 12);
});
