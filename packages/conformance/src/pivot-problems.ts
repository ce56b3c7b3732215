// Inputs for which values that a backend may take as its pivot are far from the mean: then sums around it lose digits.
import { normal, type Problem, type Random } from './problem.js';

/** M values of three channels, as rows and as runs. */
function layouts(M: number): readonly (readonly number[])[] {
  return [
    [M, 3],
    [2, 3, M / 2],
  ];
}

interface Pattern {
  readonly name: string;
  readonly why: string;
  readonly sizes: readonly number[];
  readonly x: (random: Random, j: number, c: number, M: number) => number;
}

/** Where a backend may look for a pivot: the ends, the middle, and the middle of the last of two runs. */
const isSampled = (j: number, M: number) => [0, M / 2, 0.75 * M, M - 1].includes(j);

/** Whether value j is one of the first `count` that are M / `parts` apart. */
const isEvery = (j: number, M: number, count: number, parts: number) => {
  const step = Math.max(1, Math.floor(M / parts));
  return j % step === 0 && j / step < count;
};

const around1 = Math.fround(1.1);
const oneUlpBeyond = around1 + 2 ** -23;

const patterns: readonly Pattern[] = [
  {
    name: 'uniform ±4',
    why: 'any of few values is a poor pivot',
    sizes: [16, 32, 64, 128, 256],
    x: (random) => 8 * random() - 4,
  },
  {
    name: 'first, middle and last alike',
    why: 'three values that agree are no pivot either',
    sizes: [72, 1000, 8192],
    x: (random, j, c, M) => (isSampled(j, M) ? 10 ** (c + 1) : normal(random)),
  },
  {
    name: 'zeros at the first, middle and last',
    why: 'padding is where one looks for a pivot',
    sizes: [72, 1000, 8192],
    x: (random, j, c, M) => (isSampled(j, M) ? 0 : 5 * 10 ** c + normal(random)),
  },
  {
    name: 'zeros at the first and last',
    why: 'a pivot from both ends is twice wrong',
    sizes: [100, 1000],
    x: (random, j, _c, M) => (j === 0 || j === M - 1 ? 0 : 100 + normal(random)),
  },
  {
    name: 'padded by a tenth on either side',
    why: 'zeros around values that are not near 0',
    sizes: [100, 1000],
    x: (random, j, c, M) => (j < M / 10 || j >= M - M / 10 ? 0 : 5 * 10 ** c + normal(random)),
  },
  {
    name: 'every sixteenth part alike',
    why: 'the mean of values far apart is no pivot if they conspire, by little or by much',
    sizes: [72, 1000, 4096],
    x: (random, j, c, M) => (isEvery(j, M, 16, 16) ? [2, 4, 1000][c]! : 0) + normal(random),
  },
  {
    name: 'every twenty-first part alike',
    why: 'the same of other values',
    sizes: [72, 1000, 4096],
    x: (random, j, c, M) => (isEvery(j, M, 20, 21) ? [2, 4, 1000][c]! : 0) + normal(random),
  },
  {
    name: 'the first eight alike',
    why: 'a first block whose mean is not the mean of all',
    sizes: [16, 1000],
    x: (random, j, c) => (j < 8 ? 10 ** (c + 1) : 0) + normal(random),
  },
  {
    name: 'one of the first eight differs',
    why: 'a first block around an outlier, and no deviation beyond it',
    sizes: [8, 72, 1000],
    x: (_random, j, c) => (j === 3 * c ? 1234.567 : 0.1),
  },
  {
    name: 'drifting',
    why: 'what is first says nothing of what follows',
    sizes: [256, 1000],
    x: (random, j, c, M) => (10 ** c * 100 * j) / M + normal(random),
  },
  {
    name: 'half and half',
    why: 'the mean is where no value is',
    sizes: [72, 1000],
    x: (_random, j, c, M) => (j < M / 2 ? 0.1 : 10 ** c + 0.3),
  },
  {
    name: 'two values, an ulp apart, in turn',
    why: 'a mean that is rounded lies a deviation beside the mean',
    sizes: [72, 1000],
    x: (random) => (random() < 0.5 ? around1 : oneUlpBeyond),
  },
  {
    name: 'one value an ulp away',
    why: 'a variance of one rounding, from deviations that are exact',
    sizes: [72, 1000],
    x: (_random, j, c, M) => (j === [0, M / 2, M - 1][c] ? oneUlpBeyond : around1),
  },
];

export const pivotProblems: readonly Problem[] = patterns.flatMap(({ name, why, sizes, x }) =>
  sizes.flatMap((M) =>
    layouts(M).map((shape) => ({
      name: `${name}, [${shape}]`,
      why,
      shape,
      x: (random: Random, j: number, c: number) => x(random, j, c, M),
    })),
  ),
);
