// Intervals that hold what they promise, and answers that follow from them.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, it } from 'vitest';
import { judge } from '../src/compare/verdict.js';
import { clusteredMedianInterval, geometricMean, medianInterval, ratios } from '../src/timing/statistics.js';

/** About normal. */
function noise(seed: number): () => number {
  const generator = xoroshiro128plus(seed);
  return () => {
    let sum = -6;
    for (let n = 0; n < 12; n++) sum += uniformFloat64(generator);
    return sum;
  };
}

/** Ratios of pairs of processes: each pair has a bias of its own, and each round noise. */
function clusters(seed: number, { ratio = 1, bias = 0.01, spread = 0.03, pairs = 6, rounds = 8 }): number[][] {
  const normal = noise(seed);
  return Array.from({ length: pairs }, () => {
    const centre = ratio * (1 + bias * normal());
    return Array.from({ length: rounds }, () => centre * (1 + spread * normal()));
  });
}

describe('the interval of a median', () => {
  it('holds the true median about as often as it says', () => {
    const held = Array.from({ length: 200 }, (_, seed) => {
      const normal = noise(seed);
      const { low, high } = medianInterval(
        Array.from({ length: 21 }, () => 5 + normal()),
        { resamples: 300 },
      );
      return low <= 5 && 5 <= high;
    });
    const share = held.filter(Boolean).length / held.length;
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThan(1);
  });

  it('is the same for the same samples, and does not reorder them', () => {
    const samples = [5, 1, 4, 2, 3];
    expect(medianInterval(samples)).toEqual(medianInterval(samples));
    expect(samples).toEqual([5, 1, 4, 2, 3]);
    expect(medianInterval(samples).median).toBe(3);
  });

  it('is a point when there is one sample', () => {
    expect(medianInterval([7])).toEqual({ median: 7, low: 7, high: 7 });
  });

  it('is wider when samples of a cluster agree with each other only', () => {
    const values = clusters(1, { bias: 0.2, spread: 0.001 });
    const width = ({ low, high }: { low: number; high: number }) => high - low;
    expect(width(clusteredMedianInterval(values))).toBeGreaterThan(width(medianInterval(values.flat())));
  });
});

describe('ratios', () => {
  it('are taken within a round, so that a slow round does not count', () => {
    expect(ratios([4, 40, 4], [2, 20, 2])).toEqual([2, 2, 2]);
  });

  it('have a geometric mean', () => {
    expect(geometricMean([1, 4, 2])).toBeCloseTo(2);
  });
});

describe('the answer', () => {
  const answer = (shape: Parameters<typeof clusters>[1], seed = 1) => judge(clusters(seed, shape), 0.1).answer;

  it('is slower for a fifth more time', () => expect(answer({ ratio: 1.2 })).toBe('slower'));
  it('is unchanged for the same time', () => expect(answer({})).toBe('unchanged'));
  it('is unchanged for a change below the threshold', () => expect(answer({ ratio: 1.03 })).toBe('unchanged'));
  it('is faster for half the time', () => expect(answer({ ratio: 0.5 })).toBe('faster'));
  it('is that it is too noisy, when it could be either', () => {
    expect(answer({ spread: 0.5, bias: 0.2 })).toBe('too noisy to tell');
    expect(answer({ ratio: 1.1 })).toBe('too noisy to tell');
  });
  it('is not slower when one pair of processes is off, however far', () => {
    const values = clusters(1, {});
    values[2] = values[2]!.map((ratio) => ratio * 3);
    expect(judge(values, 0.1).answer).not.toBe('slower');
  });
  it('is a false alarm in less than one of a hundred comparisons of a commit with itself', () => {
    const answers = Array.from({ length: 200 }, (_, seed) => answer({ bias: 0.05, spread: 0.1 }, seed));
    expect(answers.filter((one) => one === 'slower').length).toBeLessThan(2);
  });
});
