// The bench measures what it says: right results only, each case in every round, ratios round by round.
import { describe, expect, it } from 'vitest';
import { implementationsOf } from '../src/implementations.js';
import { problemOf } from '../src/problem.js';
import { speedup, spreadOf, time } from '../src/timing.js';
import { verify } from '../src/verify.js';

describe('verify', () => {
  it('passes every implementation, on rows and on runs', async () => {
    for (const shape of [
      [40, 9],
      [3, 9, 4, 5],
    ]) {
      const problem = problemOf(shape);
      for (const implementation of await implementationsOf(problem)) await verify(implementation, problem);
    }
  });

  it.each(['y', 'dx', 'dgamma', 'dbeta'] as const)('refuses one that gets %s wrong in one place', async (result) => {
    const problem = problemOf([40, 9]);
    const [, js] = await implementationsOf(problem);
    const wrong = {
      ...js!,
      backward: async () => {
        await js!.backward();
        js!.results[result][5]! += 1e-2;
      },
    };
    await expect(verify(wrong, problem)).rejects.toThrow(`js ${result}[5] is wrong`);
  });
});

describe('time', () => {
  it('takes every case in every round, one after the other', async () => {
    const order: string[] = [];
    const note = (name: string) => () => {
      if (order.at(-1) !== name) order.push(name);
    };
    let progress = 0;
    const cases = ['a', 'b'].map((name) => ({ name, run: note(name) }));
    const onProgress = (done: number) => {
      progress = done;
    };
    const times = await time('test', cases, { rounds: 3, sampleTime: 0.001, onProgress });
    // benny calls every case once beforehand, to see whether it is asynchronous.
    expect(order.slice(-6)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(progress).toBe(6);
    expect(times.map((rounds) => rounds.length)).toEqual([3, 3]);
    expect(times.flat().every((seconds) => seconds > 0)).toBe(true);
  });
});

describe('statistics', () => {
  it('take the ratio within a round, so that a slow round does not count', () => {
    expect(speedup([4, 40, 4], [2, 20, 2])).toEqual({ median: 2, low: 2, high: 2 });
  });

  it('show the range of eight rounds in ten', () => {
    expect(spreadOf([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])).toEqual({ median: 6, low: 2, high: 10 });
  });
});
