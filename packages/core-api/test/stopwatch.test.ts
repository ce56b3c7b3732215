// Timing with clocks that are fine, coarse, or interrupted.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Stopwatch } from '../src/select/stopwatch.js';

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

/** The median after one turn. */
async function medianTime(call: () => Promise<unknown>, turnMs: number, signal: AbortSignal): Promise<number> {
  const stopwatch = new Stopwatch(call);
  await stopwatch.run(turnMs, signal);
  return stopwatch.medianMs;
}

/** Of a caller who never aborts. */
const endless = new AbortController().signal;

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a stopwatch', () => {
  it('leaves out the call that warms up', async () => {
    expect(await medianTime(clocked([1000, 8], 1e-3), 1100, endless)).toBe(8);
  });

  it('times one call even where the warm-up took the whole budget', async () => {
    const call = clocked([1000, 8], 1e-3);
    expect(await medianTime(call, 10, endless)).toBe(8);
    expect(call).toHaveBeenCalledTimes(2);
  });

  it.each([1e-3, 0.1, 1])('sees 0.05 ms on a clock that ticks every %f ms', async (tick) => {
    const median = await medianTime(clocked([0.05], tick), 60, endless);
    expect(median).toBeGreaterThan(0.04);
    expect(median).toBeLessThan(0.06);
  });

  it('is not bent by a call that was interrupted', async () => {
    expect(await medianTime(clocked([8, 8, 8, 500, 8], 1e-3), 600, endless)).toBe(8);
  });

  it('forgets calls that were slow at first, on a cold compiler', async () => {
    expect(await medianTime(clocked([50, 50, 50, 50, 50, 50, 0.05], 1e-3), 350, endless)).toBeCloseTo(0.05, 6);
  });

  it('keeps to its budget, within a sample', async () => {
    const call = clocked([2], 1e-3);
    await medianTime(call, 100, endless);
    expect(call.mock.calls.length).toBeGreaterThanOrEqual(50);
    expect(call.mock.calls.length).toBeLessThan(55);
  });

  it('goes on in another turn, without warming up again, and adds up what they took', async () => {
    const call = clocked([1000, 8, 20, 20, 20], 1e-3);
    const stopwatch = new Stopwatch(call);
    await stopwatch.run(5, endless);
    expect([stopwatch.medianMs, stopwatch.spentMs]).toEqual([8, 1008]);
    await stopwatch.run(5, endless);
    expect([stopwatch.medianMs, stopwatch.spentMs]).toEqual([14, 1028]);
    await stopwatch.run(25, endless);
    expect([stopwatch.medianMs, stopwatch.spentMs]).toEqual([20, 1068]);
    expect(call).toHaveBeenCalledTimes(5);
  });

  it('stops calling once its signal is aborted', async () => {
    const controller = new AbortController();
    const call = clocked([5], 1e-3);
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason));
    await expect(medianTime(call, 1e6, controller.signal)).rejects.toBe(reason);
    const calls = call.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(call).toHaveBeenCalledTimes(calls);
  });

  it('lets timers run between samples', async () => {
    const order: string[] = [];
    setTimeout(() => order.push('timer'));
    await medianTime(clocked([5], 1e-3), 100, endless).then(() => order.push('done'));
    expect(order).toEqual(['timer', 'done']);
  });
});
