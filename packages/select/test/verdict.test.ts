// Which of several measured times decides: the same every time, whatever disturbs the machine.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CandidateReport } from '../src/index.js';
import { verdict } from '../src/verdict.js';

interface Times {
  readonly median: number;
  readonly least: number;
}

const measured = (times: readonly Times[], errors: readonly number[] = []) =>
  times.map(({ median, least }, index) => {
    const report = { name: `${index}`, milliseconds: median, leastMilliseconds: least, error: errors[index] ?? 0 };
    return { report: report as CandidateReport };
  });

const steady = (...milliseconds: readonly number[]) => milliseconds.map((ms) => ({ median: ms, least: ms }));
const chosenOf = (times: readonly Times[]) => verdict(measured(times), 'speed')!;

/** Numbers in [0, 1) from a seed: a linear congruential generator. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What a stopwatch tells of a call on a busy machine: most of its samples are up to 30 times as long. */
function onBusyMachine(milliseconds: number, next: () => number): Times {
  const samples = Array.from({ length: 15 }, (_, k) => milliseconds * (k === 0 ? 1 + next() / 10 : 30 ** next()));
  const sorted = samples.sort((a, b) => a - b);
  return { median: sorted[7]!, least: sorted[0]! };
}

describe('a verdict', () => {
  it.each([
    [0.008, 0.006],
    [0.01, 0.01],
    [0.02, 0.015],
    [0.1, 0.1],
    [1, 1.05],
    [1.05, 1],
  ])('of calls that take %d and %d ms is the same in every run on a busy machine', (a, b) => {
    const next = random(1);
    const runs = Array.from({ length: 200 }, () => [onBusyMachine(a, next), onBusyMachine(b, next)]);
    // By the medians alone it would not be.
    expect(new Set(runs.map(([one, other]) => one!.median < other!.median)).size).toBe(2);
    expect(new Set(runs.map((run) => chosenOf(run).chosen.report.name))).toEqual(new Set(['0']));
  });

  it('is the later one where its median is less than the shortest time of the other by a tenth and 0.02 ms', () => {
    expect(chosenOf(steady(1.13, 1))).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(chosenOf(steady(1.11, 1))).toMatchObject({ decision: 'tie', chosen: { report: { name: '0' } } });
    expect(chosenOf(steady(0.05, 0.02))).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(chosenOf(steady(0.03, 0.02))).toMatchObject({ decision: 'tie', chosen: { report: { name: '0' } } });
    const disturbed = { median: 9, least: 1.1 };
    expect(chosenOf([disturbed, ...steady(1)])).toMatchObject({ decision: 'tie', chosen: { report: { name: '0' } } });
  });

  it('is the first than which none is faster beyond doubt', () => {
    const time = fc.double({ min: 0.001, max: 10, noNaN: true });
    const times = fc.array(fc.record({ least: time, more: time }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(times, (drawn) => {
        const rows = drawn.map(({ least, more }) => ({ least, median: least + more }));
        const { chosen, decision } = chosenOf(rows);
        const most = Math.min(...rows.map(({ median }) => median)) * 1.1 + 0.02;
        const left = rows.filter(({ least }) => least <= most);
        expect(chosen.report.leastMilliseconds).toBe(left[0]!.least);
        expect(decision).toBe(left.length > 1 ? 'tie' : 'best');
      }),
      { seed: 6 },
    );
  });

  it('by accuracy is the smallest error, of equals the first', () => {
    const by = (errors: readonly number[]) => verdict(measured(steady(1, 1, 1), errors), 'accuracy')!;
    expect(by([2e-7, 1e-7, 3e-7])).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(by([2e-7, 1e-7, 1e-7])).toMatchObject({ decision: 'tie', chosen: { report: { name: '1' } } });
    expect(by([2e-7, 1e-7, 3e-7]).why).toBe("'1' (error 1.0e-7) is the best by accuracy");
  });

  it('says why', () => {
    expect(chosenOf([{ median: 3, least: 2 }]).why).toBe("'0' (3.00 ms, at least 2.00) is the best by speed");
    expect(chosenOf(steady(3, 3)).why).toBe(
      "'0' (3.00 ms, at least 3.00) is tied with '1' (3.00 ms, at least 3.00), and comes first in the candidates' order",
    );
  });

  it('is none where nothing was measured', () => {
    expect(verdict([], 'speed')).toBeUndefined();
  });
});
