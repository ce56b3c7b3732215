// Inputs on which batch norms go wrong: cancellation, odd sizes, extreme values, every layout. The oracle knows the
// results.
import { type Backend, BatchNormError, type Dtype, product } from '@batchnorm/core-api';
import { accumulationOf, termsOf } from './arithmetic.js';
import type { Check } from './compare.js';
import type { ConformanceCase, Refusal } from './conformance-case.js';
import type { FixtureCase } from './fixtures/fixture-case.js';
import { pivotProblems } from './pivot-problems.js';
import { normal, type Problem, type Random, solve } from './problem.js';
import { refusedByLimit } from './refused-by-limit.js';
import { replay } from './replay.js';

const around = (mean: number, deviation: number) => (random: Random) => mean + deviation * normal(random);

const conditioning: Problem[] = [1e-6, 1, 1e2, 1e4, 1e6].flatMap((mean) =>
  [
    [64, 5],
    [4, 3, 50],
  ].map((shape) => ({
    name: `mean ${mean}, deviation 1, [${shape}]`,
    why: 'E[x²] − E[x]² and x·scale + shift cancel',
    shape,
    x: around(mean, 1),
  })),
);

const tiny: Problem[] = [1, 1e-3, 1e-6].map((deviation) => ({
  name: `mean 1, deviation ${deviation}`,
  why: 'the deviation is far below the mean, and below √epsilon',
  shape: [50, 4],
  x: around(1, deviation),
}));

const constants: Problem[] = [0, 0.1, -3, 1e6, 1e-30].map((constant) => ({
  name: `constant ${constant} in channel 1`,
  why: 'its variance is 0: y is beta',
  shape: [37, 3],
  x: (random, _j, c) => (c === 1 ? constant : normal(random)),
}));

const straddled = [3, 4, 5, 15, 16, 17, 63, 64, 65, 255, 256, 257, 8191, 8192, 8193];
const sizes: Problem[] = straddled.flatMap((size) =>
  [...(size === 3 ? [] : [[size, 3]]), [3, size], [2, 3, size]].map((shape) => ({
    name: `sizes [${shape}]`,
    why: 'on either side of vector widths, blocks and texture limits',
    shape,
    x: around(0.5, 2),
  })),
);

const few: Problem[] = [
  [1, 6],
  [2, 6],
  [3, 6],
  [1, 6, 1],
  [1, 6, 2],
  [1, 1, 3],
  [5, 1],
  [40, 1, 7],
  [9, 1025],
  [2, 1025, 3],
].map((shape) => ({
  name: `few values or channels, [${shape}]`,
  why: 'M = 1, 2, 3; one channel; more channels than a block',
  shape,
  x: around(-1, 3),
}));

const layouts: Problem[] = [
  [6, 5],
  [6, 5, 4],
  [3, 5, 4, 2],
  [2, 5, 3, 2, 2],
].flatMap((shape) =>
  [1, -1].map((axis) => ({
    name: `rank ${shape.length}, channels ${axis === 1 ? 'first' : 'last'}`,
    why: 'a layout is a view, not a copy',
    shape: axis === 1 ? shape : [shape[0]!, ...shape.slice(2), shape[1]!],
    options: { axis },
    x: (random: Random, _j: number, c: number) => c + normal(random),
  })),
);

const axes: Problem[] = [
  { shape: [5, 24], axis: 0 },
  { shape: [2, 3, 5, 4], axis: 2 },
  { shape: [2, 3, 2, 5, 2], axis: -2 },
].map(({ shape, axis }) => ({
  name: `rank ${shape.length}, channels on axis ${axis}`,
  why: 'channels may lie on any axis',
  shape,
  options: { axis },
  x: (random, _j, c) => c + normal(random),
}));

const outliers: Problem[] = [
  [100, 4],
  [3, 4, 40],
].map((shape) => ({
  name: `first value an outlier, [${shape}]`,
  why: 'a pivot that is taken from it must not hurt',
  shape,
  x: (random, j) => (j === 0 ? 1e6 : normal(random)),
}));

/** The same for x and dy, which draw different random numbers. */
const wave = (_random: Random, j: number, c: number) => 2 + Math.sin(5 * j + c);

const parameters: Problem[] = [
  { name: 'gamma 0', why: 'y is beta, dx is 0, dgamma is not', gamma: () => 0 },
  { name: 'gamma 1e6', why: 'errors scale with gamma, no more', gamma: () => 1e6 },
  { name: 'gamma −2, beta 1e4', why: 'beta takes up digits of y', gamma: () => -2, beta: () => 1e4 },
  { name: 'gamma 1e-25', why: 'dgamma does not depend on gamma', gamma: () => 1e-25 },
  { name: 'beta 1e8', why: 'beta is no more than added', beta: () => 1e8 },
  { name: 'dy around 1e-33', why: 'small gradients are no zeros', dy: (random: Random) => 1e-33 * normal(random) },
  { name: 'dy around 1e27', why: 'nor are large ones infinite', dy: (random: Random) => 1e27 * normal(random) },
  { name: 'dy 0', why: 'all gradients are 0', dy: () => 0 },
  { name: 'dy constant', why: 'the mean of dy takes all of dx away', dy: () => 3 },
  { name: 'dy = x', why: 'xHat takes all of dx away, but for epsilon', x: wave, dy: wave },
  { name: 'epsilon 1', why: 'epsilon stands inside the root, once', options: { epsilon: 1 } },
  { name: 'epsilon 16', why: 'it may be larger than the variance', options: { epsilon: 16 } },
  {
    name: 'epsilon 1e-13 and deviations of 1e-7',
    why: 'it may be as small as the variance',
    options: { epsilon: 1e-13 },
    x: (random: Random) => 1e-7 * normal(random),
  },
  { name: 'no affine parameters', why: 'y = xHat', options: { affine: false } },
].map((problem) => ({ shape: [33, 5], x: around(2, 3), ...problem }));

const history: Problem[] = [
  { name: '100 steps', options: {} },
  { name: '100 steps, sample variance', options: { runningVariance: 'sample' as const } },
  { name: '100 steps, cumulative', options: { momentum: 'cumulative' as const } },
  { name: '100 steps, momentum 0.99', options: { momentum: 0.99 } },
  { name: 'inference alone', steps: 0 },
  { name: '10 steps without running statistics', options: { trackRunningStatistics: false }, steps: 10 },
].map((problem) => ({
  why: 'running statistics average in order, and inference uses them',
  shape: [7, 3],
  steps: 100,
  x: (random, _j, c, step) => step / 10 + (c + 1) * normal(random),
  ...problem,
}));

const given: Problem[] = [
  { name: 'inference alone, with given running statistics', steps: 0 },
  { name: 'a step from given running statistics', options: { momentum: 0.99 } },
  { name: 'a step from given running statistics, cumulative', options: { momentum: 'cumulative' as const } },
].map((problem) => ({
  why: 'a layer goes on from what another has learned',
  shape: [6, 3, 4],
  running: {
    mean: (random: Random, c: number) => c - 1 + normal(random),
    variance: (random: Random) => 0.5 + 2 * random(),
    batchesTracked: 7,
  },
  x: (random: Random, _j: number, c: number) => c + 2 * normal(random),
  ...problem,
}));

/** Running statistics of identifiers and times are numbers of this size. */
const farGiven: Problem = {
  name: 'inference alone, around a running mean of 1e12',
  why: 'the mean is taken away before anything is scaled',
  shape: [6, 3, 4],
  steps: 0,
  running: { mean: () => 1e12, variance: () => 1e20 },
  x: around(1e12, 1e10),
};

const long: Problem = {
  name: '100,000 rows',
  why: 'float32 sums lose digits here, float64 and compensated ones do not',
  shape: [100_000, 2],
  x: around(3, 1),
};

const magnitudes: Problem[] = [1e30, 1e-30, 1e-40].map((size) => ({
  name: `values around ±${size}`,
  why: 'squares leave the range of float32, values its normal numbers',
  shape: [24, 3],
  x: (random) => size * normal(random),
  beyondFloat32: size === 1e30,
}));

const inTurn = (size: number) => (_random: Random, j: number) => (j % 2 === 0 ? size : -size);
const isConstant = (_random: Random, j: number, c: number) => (c === 1 ? 0.7 : Math.sin(7 * j + c));

/**
 * Float32 numbers whose squares, sums or quotients are beyond float32. A backend gets them right or refuses them; a
 * wrong result fails.
 */
const extremes: Problem[] = (
  [
    { name: '±1e20 without running statistics', x: inTurn(1e20), options: { trackRunningStatistics: false } },
    { name: '±1e19, whose squares add up to too much', shape: [100, 4], x: inTurn(1e19) },
    { name: '±1e19 in runs', shape: [2, 4, 50], x: inTurn(1e19) },
    { name: '±1e-25 with epsilon 1e-60', x: inTurn(1e-25), options: { epsilon: 1e-60 } },
    { name: 'deviations of 1e-25 from 1e-10', x: (_random, j) => 1e-10 + (j % 2) * 1e-17, options: { epsilon: 1e-60 } },
    { name: 'epsilon 1e-80', x: (random) => normal(random), options: { epsilon: 1e-80 } },
    { name: 'epsilon 1e-80 and a constant channel', x: isConstant, dy: () => 0, options: { epsilon: 1e-80 } },
    { name: 'gamma 3e38 and a constant channel', x: isConstant, gamma: (_random, c) => (c === 1 ? 3e38 : 1) },
    { name: 'dy of 1e38', shape: [128, 3], x: (random) => normal(random), dy: () => 1e38 },
    {
      name: 'a running mean of 1e39',
      x: (random) => normal(random),
      steps: 0,
      running: { mean: () => 1e39, variance: () => 1e78 },
      dy: (random) => 1e10 * normal(random),
    },
  ] satisfies (Partial<Problem> & Pick<Problem, 'name' | 'x'>)[]
).map((problem) => ({
  shape: [64, 4],
  why: 'what float32 can say of x is more than it can say of its squares',
  beyondFloat32: true,
  ...problem,
}));

/** Times in nanoseconds, and identifiers: float64 has one or two digits for the differences between them. */
const farFromZero: Problem[] = [17, 8192].flatMap((M) => [
  {
    name: `1e15 and an eighth more in turn, [${M},2]`,
    why: 'a variance is no difference of large numbers, and never negative',
    shape: [M, 2],
    x: (_random: Random, j: number) => 1e15 + (j % 2) / 8,
    // Momentum 0 makes the batch's variance the running one, whose sign is checked.
    options: { epsilon: 1e-12, momentum: 0 },
    wide: true,
  },
  {
    name: `times in nanoseconds, [${M},2]`,
    why: 'steps of 256 are the last digit of 1.7e18',
    shape: [M, 2],
    options: { momentum: 0 },
    x: (random: Random) => 1.7e18 + 256 * Math.round(8 * random()),
    wide: true,
  },
]);

const inStep: Problem[] = [2, 4, 8, 16].map((period) => ({
  name: `one in ${period} far off, [64,500]`,
  why: 'positions that a pivot is taken from may all be the same to the data',
  shape: [64, 500],
  x: (random, j) => (j % period === 0 ? 100 : 0) + normal(random),
}));

/** A third has no last digit: each addition is rounded, and many in a row in the same direction. */
const longChains: Problem[] = [
  [3000, 3],
  [1500, 3, 2],
  [2, 3, 1500],
].map((shape) => ({
  name: `thirds, [${shape}]`,
  why: 'sums of like values show how long chains of additions are',
  shape,
  x: (_random, j, c) => (j === 3 * c ? 100 : 1 / 3),
  dy: (_random, _j, c) => (c + 1) / 3,
  wide: true,
}));

const samples = 4;

/** Sequences of twelve that end early, in every layout; what is behind their ends is far away. */
const padded: Problem[] = [
  { shape: [samples, 12, 5], axis: -1 },
  { shape: [samples, 5, 12], axis: 1 },
  { shape: [12 * samples, 5], axis: 1 },
  { shape: [samples, 3, 5, 4], axis: 2 },
].map(({ shape, axis }) => {
  const counts = (j: number) => j % 12 < [12, 7, 1, 0][Math.floor(j / 12)]!;
  return {
    name: `padded sequences, [${shape}], channels on axis ${axis}`,
    why: 'what does not count has no part in statistics, and no gradient through them',
    shape,
    options: { axis, runningVariance: 'sample' as const },
    x: (random, j, c) => (counts(j) ? c + normal(random) : 1e4),
    mask: (_random, j) => counts(j),
    steps: 2,
  };
});

const behindMasks: Problem[] = [
  { name: 'a mask by which one position counts', mask: (_random: Random, j: number) => j === 11 },
  { name: 'a mask by which all but one count', mask: (_random: Random, j: number) => j !== 0 },
  { name: 'another mask in each step', mask: (random: Random) => random() < 0.5, steps: 5 },
  {
    name: 'a mask where nothing is tracked',
    mask: (random: Random) => random() < 0.5,
    options: { trackRunningStatistics: false },
  },
  {
    name: 'values around 1e6 that count, and zeros that do not',
    mask: (_random: Random, j: number) => j % 3 > 0,
    x: (random: Random, j: number) => (j % 3 > 0 ? 1e6 + normal(random) : 0),
  },
].map((problem) => ({
  why: 'a mask is that of its step',
  shape: [33, 5],
  x: around(2, 3),
  ...problem,
}));

const behindReLU: Problem[] = [
  { name: 'ReLU', options: { activation: 'relu' as const } },
  { name: 'a residual', residual: around(1, 2) },
  { name: 'a residual and ReLU', options: { activation: 'relu' as const }, residual: around(0, 2) },
  { name: 'a residual of 1e6 and ReLU', options: { activation: 'relu' as const }, residual: around(0, 1e6) },
  {
    name: 'a residual and ReLU around a mean of 1e4',
    options: { activation: 'relu' as const },
    x: around(1e4, 1),
    residual: around(0, 1),
  },
  {
    name: 'a mask, a residual and ReLU',
    options: { activation: 'relu' as const },
    residual: around(0, 1),
    mask: (random: Random) => random() < 0.6,
  },
].flatMap((problem) =>
  [
    [33, 5],
    [3, 5, 14],
  ].map((shape) => ({
    why: 'gradients have the gates of their y',
    x: around(2, 3),
    shape,
    ...problem,
    name: `${problem.name}, [${shape}]`,
  })),
);

/** Inputs on which plausible implementations go wrong: large means, tiny and constant values, odd sizes. */
export const adversarialProblems: readonly Problem[] = [
  ...conditioning,
  ...tiny,
  ...constants,
  ...sizes,
  ...few,
  ...layouts,
  ...axes,
  ...outliers,
  ...pivotProblems,
  ...longChains,
  ...parameters,
  ...padded,
  ...behindMasks,
  ...behindReLU,
  ...history,
  ...given,
  farGiven,
  long,
  ...magnitudes,
  ...extremes,
  ...farFromZero,
  ...inStep,
];

/** A problem of fewer elements takes no time to solve. */
const smallProblem = 1024;

/** What a quick run leaves out, because GPUs compile kernels for each shape: larger sizes of a family, long histories. */
const isSlow = ({ shape, steps = 1 }: Problem) => product(shape) >= 256 || steps > 10;

export const adversarialCases: readonly ConformanceCase[] = adversarialProblems.map((problem) => {
  // A small problem is solved again for each backend and dtype: its solution would be many objects, and to count those
  // that are alive, as rules about memory do, takes longer.
  const kept = product(problem.shape) < smallProblem ? <T>(compute: () => T) => compute : once;
  const narrow = kept(() => solve(problem));
  const wide = kept(() => solve(problem, 'float64'));
  return {
    group: 'adversarial',
    source: 'adversarial',
    name: problem.name,
    why: problem.why,
    slow: isSlow(problem),
    run: ({ backend, dtype }) => run(problem, problem.wide && dtype === 'float64' ? wide() : narrow(), backend, dtype),
  };
});

async function run(
  problem: Problem,
  solved: FixtureCase,
  backend: Backend,
  dtype: Dtype,
): Promise<readonly Check[] | Refusal> {
  const refusal = await refusedByLimit({ backend, dtype }, [problem.shape]);
  if (refusal) return refusal;
  // Squares of 1e30 are beyond float32: a backend without wider numbers must refuse them.
  const mayRefuse = problem.beyondFloat32 && termsOf(accumulationOf(backend, dtype)) === 'float32';
  try {
    const checks = await replay(solved, backend, dtype);
    const failed = checks.filter(({ passed }) => !passed);
    return mayRefuse && failed.length > 0 && failed.every(isNaNOnDevice)
      ? { refused: 'NON_FINITE_STATISTICS' }
      : checks;
  } catch (error) {
    const refused = error instanceof BatchNormError && error.code === 'NON_FINITE_STATISTICS';
    if (!mayRefuse || !refused) throw error;
    return { refused: error.code };
  }
}

/** On a device no call waits for the statistics: NaN in y takes the place of the refusal. */
const isNaNOnDevice = ({ what, message }: Check) =>
  what.startsWith('on the device') && message.includes('received NaN');

/** The oracle is slow, and every backend and dtype needs the same answer. */
function once<T>(compute: () => T): () => T {
  let result: { readonly value: T } | undefined;
  return () => {
    result ??= { value: compute() };
    return result.value;
  };
}
