// Clocks time what they should, and rounds interleave.
import { describe, expect, it } from 'vitest';
import { bennyClock } from '../src/timing/benny-clock.js';
import { pageClock } from '../src/timing/page-clock.js';
import { inRounds, shuffled } from '../src/timing/rounds.js';

const sampling = { warmUp: 0, sampleTime: 0.001, totalTime: 0.003 };

describe.each([
  ['benny', bennyClock],
  ['the clock of pages', pageClock],
])('%s', (_, clock) => {
  it('times an asynchronous case until its promise resolves, one call after the other', async () => {
    let [running, most] = [0, 0];
    const samples = await clock(
      'sleeps',
      async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
      },
      sampling,
    );
    expect(most).toBe(1);
    // A timer of 5 ms never fires after less than 4, however busy or idle the machine is.
    for (const seconds of samples) expect(seconds).toBeGreaterThan(0.004);
  });

  it('awaits a case that is asynchronous in some calls only', async () => {
    let [calls, running, most] = [0, 0, 0];
    const sleep = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
    };
    await clock('sleeps now and then', () => (++calls % 3 === 0 ? sleep() : undefined), sampling);
    expect([most, running]).toEqual([1, 0]);
  });

  it('times a synchronous case', async () => {
    let calls = 0;
    const samples = await clock('counts', () => void calls++, sampling);
    expect(samples.length).toBeGreaterThan(0);
    expect(calls).toBeGreaterThan(samples.length);
  });

  it('runs warm before it counts', async () => {
    let [calls, warm] = [0, 0];
    const begin = performance.now();
    const count = () => {
      calls++;
      if (performance.now() - begin < 30) warm++;
    };
    await clock('counts', count, { warmUp: 0.03, sampleTime: 1e-6, totalTime: 1e-6 });
    expect(warm).toBeGreaterThan(0);
    expect(calls).toBeGreaterThan(warm);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(30);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no result');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no result'))],
  ])('rejects when a case %s, and does not hang', async (name, run) => {
    await expect(clock(name, run, sampling)).rejects.toThrow('no result');
  });
});

describe('rounds', () => {
  const noting = (order: string[]) => (name: string) => ({
    sample: async () => {
      order.push(name);
      return [3, 1, 2];
    },
  });

  it('take every case once in each, in an order of its own, and give the median of its samples', async () => {
    const order: string[] = [];
    const times = await inRounds(['a', 'b', 'c', 'd'].map(noting(order)), { rounds: 6 });
    expect(times).toEqual(Array.from({ length: 4 }, () => Array.from({ length: 6 }, () => 2)));
    const rounds = Array.from({ length: 6 }, (_, round) => order.slice(4 * round, 4 * round + 4));
    for (const round of rounds) expect(round.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(new Set(rounds.map(String)).size).toBeGreaterThan(1);
  });

  it('are three at least when the budget is spent', async () => {
    const times = await inRounds([noting([])('a')], { rounds: 9, budget: 0 });
    expect(times[0]).toHaveLength(3);
  });

  it('stop at a signal, after the sample that is being taken', async () => {
    const controller = new AbortController();
    const order: string[] = [];
    const onSample = () => {
      if (order.length === 2) controller.abort(new Error('enough'));
    };
    const running = inRounds(['a', 'b', 'c'].map(noting(order)), { rounds: 3, signal: controller.signal, onSample });
    await expect(running).rejects.toThrow('enough');
    expect(order).toHaveLength(2);
  });

  it('are shuffled by a seed', () => {
    expect(shuffled(20, 3)).toEqual(shuffled(20, 3));
    expect(shuffled(20, 3)).not.toEqual(shuffled(20, 4));
    expect(shuffled(20, 3).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });
});
