// The gpu.js comparison: right results only, rounds interleaved, and a reason where a mode does not run.
import { describe, expect, it } from 'vitest';
import { compare } from '../src/gpujs/compare.js';
import { timeInterleaved } from '../src/gpujs/interleaved.js';
import { trainingSteps, variants } from '../src/gpujs/training-steps.js';
import { problemOf } from '../src/problem.js';
import { assertResults } from '../src/verify.js';

const tolerances = { activations: 1e-5, sums: 1e-5 };

describe('compare', () => {
  it('verifies and times every variant', async () => {
    const found = await compare({ mode: 'cpu', shape: [12, 5], rounds: 2, sampleTime: 0.001 });
    if ('unavailable' in found) throw new Error(found.unavailable);
    expect(found.execution.engine).toBe('gpu.js JavaScript');
    expect(Object.keys(found.times)).toEqual([...variants]);
    expect(Object.values(found.times).map((rounds) => rounds.length)).toEqual([2, 2, 2]);
  });

  it('says why a mode does not run here', async () => {
    const found = await compare({ mode: 'webgpu', shape: [12, 5], rounds: 1, sampleTime: 0.001 });
    expect(found).toEqual({ unavailable: expect.stringContaining("mode 'webgpu'") });
  });
});

describe('training steps', () => {
  it('bring y and dx to the host only with readback, and agree', async () => {
    const problem = problemOf([40, 9]);
    const steps = await trainingSteps('cpu', problem);
    for (const variant of variants) {
      const results = await steps.run[variant]();
      expect(Object.keys(results).sort()).toEqual(
        variant === 'without readback' ? ['dbeta', 'dgamma'] : ['dbeta', 'dgamma', 'dx', 'y'],
      );
      assertResults(variant, results, problem, tolerances);
      const wrong = { ...results, dgamma: Float64Array.from(results.dgamma!, (value, c) => value + (c === 3 ? 1 : 0)) };
      expect(() => assertResults(variant, wrong, problem, tolerances)).toThrow(`${variant} dgamma[3] is wrong`);
    }
    await steps.dispose();
  });
});

describe('timeInterleaved', () => {
  it('runs every case in every round, and waits for its work', async () => {
    const order: string[] = [];
    const working = (name: string) => ({
      run: async () => {
        if (order.at(-1) !== name) order.push(name);
        await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    const times = await timeInterleaved([working('a'), working('b')], { rounds: 3, sampleTime: 0.001 });
    expect(order).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(times.map((rounds) => rounds.length)).toEqual([3, 3]);
    for (const seconds of times.flat()) expect(seconds).toBeGreaterThan(0.003);
  });
});
