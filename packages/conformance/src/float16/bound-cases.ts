// Whether results of float16 are those of float32, rounded once more: batches of float16 numbers against the oracle.
import type { ConformanceCase } from '../conformance-case.js';
import type { FixtureCase } from '../fixtures/fixture-case.js';
import { normal, type Problem, type Random, solve } from '../problem.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { replay } from '../replay.js';
import { float16Case } from './float16-case.js';

const around = (mean: number, deviation: number) => (random: Random) => mean + deviation * normal(random);

/** Rows and runs: one value, odd numbers, tails of every vector width, networks' shapes, more than 65,536 elements. */
const shapes: readonly (readonly number[])[] = [
  [1, 7],
  [5, 1],
  [3, 3],
  [65, 17],
  [8, 64],
  [2, 1000],
  [300, 31],
  [1027, 67],
  [1, 5, 1],
  [4, 3, 2],
  [3, 2, 7],
  [3, 2, 9],
  [2, 3, 15],
  [2, 3, 33],
  [2, 2, 1027],
  [8, 32, 7, 7],
  [5, 7, 1999],
];

const sizes: Problem[] = shapes.map((shape) => ({
  name: `sizes [${shape}]`,
  why: 'decoded and encoded by several at a time, with some left',
  shape,
  x: around(0.5, 2),
}));

/** Where float16 ends before float32 does. */
const values: Problem[] = (
  [
    { name: 'mean 100, deviation 1', why: 'statistics are those of the stored numbers', x: around(100, 1) },
    { name: 'squares beyond float16', why: 'statistics are computed as for float32', x: around(0, 3000) },
    { name: 'sums beyond float16', why: 'statistics are computed as for float32', x: around(5e4, 2000) },
    {
      name: 'subnormal numbers',
      why: 'they are numbers, not 0',
      x: around(0, 2 ** -19),
      dy: around(0, 2 ** -19),
      options: { epsilon: 1e-14 },
    },
    {
      name: 'results that are subnormal',
      why: 'they are rounded to multiples of 2⁻²⁴, not to 0',
      x: around(0, 1),
      gamma: (random) => (0.5 + random()) * 2 ** -18,
      beta: () => 0,
    },
    {
      name: 'y beyond float16',
      why: 'from 65520 on it is infinite, below it is not',
      x: around(0, 1),
      gamma: (random) => 4e4 * (0.5 + random()),
    },
    { name: 'dx beyond float16', why: 'from 65520 on it is infinite', x: around(1, 0.01), dy: around(0, 600) },
    {
      name: 'a constant channel',
      why: 'its variance is 0: y is beta, rounded',
      x: (random, _j, c) => (c === 1 ? 0.1 : normal(random)),
    },
    {
      name: 'five steps',
      why: 'running statistics are never rounded to float16',
      x: around(30, 3),
      steps: 5,
      options: { momentum: 0.5, runningVariance: 'sample' },
    },
    {
      name: 'given statistics',
      why: 'they are not numbers of float16',
      x: around(7, 2),
      running: { mean: around(7, 1), variance: (random) => 1e5 * (1 + random()) },
    },
  ] satisfies Omit<Problem, 'shape'>[]
).flatMap((problem) =>
  [
    [67, 5],
    [3, 4, 37],
  ].map((shape) => ({ ...problem, name: `${problem.name}, [${shape}]`, shape })),
);

export const boundCases: readonly ConformanceCase[] = [...sizes, ...values].map((problem) => {
  // The same for every backend, and the oracle takes its time.
  let solved: FixtureCase | undefined;
  return float16Case({
    name: problem.name,
    why: problem.why,
    run: async (subject) => {
      const refusal = await refusedByLimit(subject, [problem.shape]);
      if (refusal) return refusal;
      solved ??= solve(problem, 'float16');
      return replay(solved, subject.backend, 'float16');
    },
  });
});
