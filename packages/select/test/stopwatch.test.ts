// Timing with clocks that are fine, coarse, or interrupted.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Stopwatch } from '../src/stopwatch.js';

/** A clock that `call` moves by `costs`, the last of them again and again, and that shows multiples of `tick`. */
function clocked(costs: readonly number[], tick: number) {
  let time = 0;
  let calls = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => Math.floor(time / tick) * tick);
  const call = vi.fn(async () => {
    time += costs[Math.min(calls++, costs.length - 1)]!;
  });
  return call;
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** Turn after turn until the budget is spent. */
async function medianTime(call: () => Promise<void>, budgetMs: number): Promise<number> {
  const stopwatch = new Stopwatch(call, budgetMs);
  while (!stopwatch.done) await stopwatch.turn();
  return stopwatch.median;
}

describe('Stopwatch', () => {
  it('leaves out the call that warms up', async () => {
    expect(await medianTime(clocked([1000, 8], 1e-3), 1100)).toBe(8);
  });

  it('times one call even where the warm-up took the whole budget', async () => {
    const call = clocked([1000, 8], 1e-3);
    expect(await medianTime(call, 10)).toBe(8);
    expect(call).toHaveBeenCalledTimes(2);
  });

  it.each([1e-3, 0.1, 1])('sees 0.05 ms on a clock that ticks every %f ms', async (tick) => {
    const median = await medianTime(clocked([0.05], tick), 60);
    expect(median).toBeGreaterThan(0.04);
    expect(median).toBeLessThan(0.06);
  });

  it('is not bent by a call that was interrupted', async () => {
    expect(await medianTime(clocked([8, 8, 8, 500, 8], 1e-3), 600)).toBe(8);
  });

  it('is not bent by interruptions of short turns, which make them look long enough', async () => {
    expect(await medianTime(clocked([1, 20, 0.01, 0.01, 20, 0.01], 1e-3), 200)).toBeCloseTo(0.01, 6);
  });

  it('knows the shortest time, from a turn that nobody interrupted', async () => {
    const interrupted = [8, 8, 8, ...Array.from({ length: 40 }, (_, k) => (k % 3 === 0 ? 8 : 90))];
    const stopwatch = new Stopwatch(clocked(interrupted, 1e-3), 1000);
    while (!stopwatch.done) await stopwatch.turn();
    expect(stopwatch.median).toBe(90);
    expect(stopwatch.least).toBe(8);
  });

  it.each([1e-3, 0.1, 1])(
    'never takes a call for shorter than it is, on a clock that ticks every %f ms',
    async (tick) => {
      const stopwatch = new Stopwatch(clocked([0.05], tick), 60);
      while (!stopwatch.done) await stopwatch.turn();
      expect(stopwatch.least).toBeGreaterThan(0.04);
      expect(stopwatch.least).toBeLessThanOrEqual(stopwatch.median);
    },
  );

  it('keeps to its budget, within a sample', async () => {
    const call = clocked([2], 1e-3);
    await medianTime(call, 100);
    expect(call.mock.calls.length).toBeGreaterThanOrEqual(50);
    expect(call.mock.calls.length).toBeLessThan(55);
  });

  it('lets timers run between turns', async () => {
    const order: string[] = [];
    setTimeout(() => order.push('timer'));
    await medianTime(clocked([5], 1e-3), 100).then(() => order.push('done'));
    expect(order).toEqual(['timer', 'done']);
  });
});
