// Which of several measured times decides: the same every time, whatever the noise of small differences.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CandidateReport } from '../src/index.js';
import { verdict } from '../src/verdict.js';

const measured = (milliseconds: readonly number[], errors: readonly number[] = []) =>
  milliseconds.map((ms, index) => {
    const report = { name: `${index}`, milliseconds: ms, error: errors[index] ?? 0 };
    return { report: report as CandidateReport };
  });

const chosenOf = (milliseconds: readonly number[]) => verdict(measured(milliseconds), 'speed')!;

/** Measured on two cores that other programs used, too: a training step of `wasm` and of `js`, in µs, shape by shape. */
const seen = {
  '[2, 3]': ['8.3 77.0', '12.3 7.4', '7.9 6.4', '23.6 10.6', '7.7 6.7', '11.0 5.9'],
  '[8, 4]': ['11.3 10.0', '10.0 6.5', '7.9 18.2', '7.6 6.0', '14.7 6.4', '7.6 6.4'],
  '[32, 16]': ['12.5 13.8', '9.6 10.1', '16.1 10.5', '26.7 20.1', '14.7 12.8', '18.3 15.6'],
  '[8, 4, 4, 4]': ['21.3 17.6', '17.4 22.4', '9.6 10.2', '14.6 14.2', '17.7 17.7'],
};

describe('a verdict', () => {
  it.each(Object.entries(seen))('on shape %s is the same for every run that was measured', (_shape, runs) => {
    const times = runs.map((run) => run.split(' ').map((microseconds) => Number(microseconds) / 1000));
    // By the shortest time alone it was not.
    expect(new Set(times.map(([wasm, js]) => wasm! < js!)).size).toBe(2);
    expect(times.map((run) => chosenOf(run).chosen.report.name)).toEqual(times.map(() => '0'));
  });

  it('is the shortest time where it is ahead of all before it by more than a tenth and 0.02 ms', () => {
    expect(chosenOf([1.13, 1])).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(chosenOf([1.11, 1])).toMatchObject({ decision: 'tie', chosen: { report: { name: '0' } } });
    expect(chosenOf([0.05, 0.02])).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(chosenOf([0.03, 0.02])).toMatchObject({ decision: 'tie', chosen: { report: { name: '0' } } });
  });

  it('does not depend on noise within half of the margin', () => {
    const time = fc.double({ min: 0.001, max: 100, noNaN: true });
    const noise = fc.double({ min: 0, max: 0.045, noNaN: true });
    fc.assert(
      fc.property(time, fc.array(noise, { minLength: 2, maxLength: 5 }), (least, noises) => {
        expect(chosenOf(noises.map((share) => least * (1 + share))).chosen.report.name).toBe('0');
      }),
      { seed: 5 },
    );
  });

  it('is never worse than the margin, and the first that is not', () => {
    const times = fc.array(fc.double({ min: 0.001, max: 10, noNaN: true }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(times, (milliseconds) => {
        const { chosen, decision } = chosenOf(milliseconds);
        const most = Math.min(...milliseconds) * 1.1 + 0.02;
        const within = milliseconds.filter((ms) => ms <= most);
        expect(chosen.report.milliseconds).toBe(within[0]);
        expect(decision).toBe(within.length > 1 ? 'tie' : 'best');
      }),
      { seed: 6 },
    );
  });

  it('by accuracy is the smallest error, of equals the first', () => {
    const by = (errors: readonly number[]) => verdict(measured([1, 1, 1], errors), 'accuracy')!;
    expect(by([2e-7, 1e-7, 3e-7])).toMatchObject({ decision: 'best', chosen: { report: { name: '1' } } });
    expect(by([2e-7, 1e-7, 1e-7])).toMatchObject({ decision: 'tie', chosen: { report: { name: '1' } } });
    expect(by([2e-7, 1e-7, 3e-7]).why).toBe("'1' is the best by accuracy (error 1.0e-7); next is '0' (error 2.0e-7)");
  });

  it('says by how much', () => {
    expect(chosenOf([3, 1.5]).why).toBe("'1' is the best by speed (1.50 ms); next is '0' (3.00 ms)");
    expect(chosenOf([3]).why).toBe("'0' is the best by speed (3.00 ms)");
  });

  it('is none where nothing was measured', () => {
    expect(verdict([], 'speed')).toBeUndefined();
  });
});
