// Problems: generated inputs of cases, seeded. They are float32 numbers, the same for every dtype, except for `wide`
// ones.
import {
  type Dtype,
  type Extent,
  elementsFrom,
  extentOf,
  type FloatArray,
  type Mask,
  numbersOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { FixtureCase, FixtureOptions, Golden, GoldenStep } from './fixtures/fixture-case.js';
import { magnitudes } from './magnitudes.js';
import { countedPositions } from './masks.js';
import { backward, batchStatistics, forward, type OracleInput, preactivation } from './oracle.js';

/** An input of batch norm, made by formulas, so that it has any size. */
export interface Problem {
  readonly name: string;
  readonly why: string;
  readonly shape: readonly number[];
  /** Default: channels on axis 1, the layer's other defaults. */
  readonly options?: Partial<FixtureOptions>;
  /** The element at position j of channel c, in step n. */
  readonly x: (random: Random, j: number, c: number, step: number) => number;
  /** As x: the gradient of y. */
  readonly dy?: (random: Random, j: number, c: number, step: number) => number;
  /** Whether position j counts in step n. Default: all do. */
  readonly mask?: (random: Random, j: number, step: number) => boolean;
  /** As x: what is added. Default: nothing. Behind 'relu' dy is 0 where z is near 0, so that no rounding decides a gate. */
  readonly residual?: Problem['x'];
  /** gamma of channel c. */
  readonly gamma?: (random: Random, c: number) => number;
  /** beta of channel c. */
  readonly beta?: (random: Random, c: number) => number;
  /** Running statistics that the layer starts from. Default: those of a new layer. */
  readonly running?: {
    /** Of channel c. */
    readonly mean: (random: Random, c: number) => number;
    /** Of channel c. */
    readonly variance: (random: Random, c: number) => number;
    /** Default 0. */
    readonly batchesTracked?: number;
  };
  /** Training steps, before inference. Default 1. */
  readonly steps?: number;
  /** In float64 the inputs have all of its digits. Default false: they are float32 numbers. */
  readonly wide?: boolean;
  /**
   * Whether a backend that adds up float32 terms may refuse it with `NON_FINITE_STATISTICS`: squares, or more, are
   * beyond float32.
   */
  readonly beyondFloat32?: boolean;
}

/** Uniform in [0, 1). */
export type Random = () => number;

/** About normal, with mean 0 and deviation 1: the sum of twelve uniform numbers, less 6. */
export function normal(random: Random): number {
  let sum = -6;
  for (let n = 0; n < 12; n++) sum += random();
  return sum;
}

/**
 * The problem with the oracle's results: training steps, then inference, forward and backward each. Inputs are numbers
 * of `dtype`.
 */
export function solve(problem: Problem, dtype: Dtype = 'float32'): FixtureCase {
  const { name, why, shape, steps: count = 1 } = problem;
  const random = randomSeededBy(name);
  const axis = problem.options?.axis ?? 1;
  const extent = extentOf(shape, axis);
  const C = extent.channels;
  const options: FixtureOptions = {
    numFeatures: C,
    epsilon: 1e-5,
    momentum: 0.9,
    axis,
    affine: true,
    scale: problem.options?.affine ?? true,
    center: problem.options?.affine ?? true,
    trackRunningStatistics: true,
    runningVariance: 'population',
    activation: 'none',
    singleValue: 'allow',
    emptyBatch: 'reject',
    ...problem.options,
  };
  const vector = (make: (random: Random, c: number) => number) =>
    Float64Array.from({ length: C }, (_, c) => make(random, c));
  const parameters = {
    gamma: vector(options.scale ? (problem.gamma ?? ((r) => 0.5 + r())) : () => 1),
    beta: vector(options.center ? (problem.beta ?? normal) : () => 0),
  };
  const activation = (make: Problem['x'], step: number) => fill(dtype, extent, (j, c) => make(random, j, c, step));
  const maskOfPositions = (counts: NonNullable<Problem['mask']>, r: Random, step: number): Mask => {
    const sizes = shape.toSpliced(axis < 0 ? shape.length + axis : axis, 1);
    const data = Uint8Array.from({ length: valuesPerChannel(extent) }, (_, j) => Number(counts(r, j, step)));
    return { data, shape: sizes };
  };
  const golden = (data: ArrayLike<number>, of: readonly number[] = shape): Golden => ({ shape: of, data });

  const running = {
    mean: vector(problem.running?.mean ?? (() => 0)),
    variance: vector(problem.running?.variance ?? (() => 1)),
    batchesTracked: problem.running?.batchesTracked ?? 0,
  };
  const state = () => ({
    runningMean: golden(running.mean.slice(), [C]),
    runningVariance: golden(running.variance.slice(), [C]),
    batchesTracked: running.batchesTracked,
  });
  const start = options.trackRunningStatistics && problem.running && state();
  const solveStep = (step: number, training: boolean): GoldenStep => {
    const x = activation(problem.x, step);
    const dy = activation(problem.dy ?? normal, step);
    const statistics = training || !options.trackRunningStatistics ? undefined : running;
    const given = statistics ? undefined : problem.mask && maskOfPositions(problem.mask, random, step);
    const mask = given && countedPositions(given, shape, axis);
    const residual = problem.residual && activation(problem.residual, step);
    const { epsilon, activation: nonlinearity } = options;
    const input = { extent, x, ...parameters, epsilon, statistics, mask, residual, activation: nonlinearity };
    if (nonlinearity === 'relu') clearNearKink(dy, input);
    if (training) average(running, batchStatistics(x, extent, mask), mask?.count ?? valuesPerChannel(extent), options);
    const { dx, dresidual, dgamma, dbeta } = backward(input, dy);
    return {
      training,
      x: golden(x),
      ...(given && { mask: golden(given.data, given.shape) }),
      ...(residual && { residual: golden(residual) }),
      dy: golden(dy),
      y: golden(forward(input)),
      dx: golden(dx),
      ...(residual && { dresidual: golden(dresidual) }),
      ...(options.scale && { dgamma: golden(dgamma, [C]) }),
      ...(options.center && { dbeta: golden(dbeta, [C]) }),
      ...(options.trackRunningStatistics && state()),
    };
  };
  const steps = Array.from({ length: count + 1 }, (_, step) => solveStep(step, step < count));
  const affine = {
    ...(options.scale && { gamma: golden(parameters.gamma, [C]) }),
    ...(options.center && { beta: golden(parameters.beta, [C]) }),
  };
  return { name, why, options, ...affine, ...start, steps };
}

/** running ← kept · running + (1 − kept) · batch */
function average(
  running: { readonly mean: Float64Array; readonly variance: Float64Array; batchesTracked: number },
  batch: { readonly mean: Float64Array; readonly variance: Float64Array },
  M: number,
  { momentum, runningVariance }: Pick<FixtureOptions, 'momentum' | 'runningVariance'>,
): void {
  const kept = momentum === 'cumulative' ? running.batchesTracked / (running.batchesTracked + 1) : momentum;
  const correction = runningVariance === 'sample' ? M / (M - 1) : 1;
  for (let c = 0; c < running.mean.length; c++) {
    running.mean[c] = kept * running.mean[c]! + (1 - kept) * batch.mean[c]!;
    running.variance[c] = kept * running.variance[c]! + (1 - kept) * correction * batch.variance[c]!;
  }
  running.batchesTracked++;
}

/** Makes dy 0 where z is within a thousandth of its terms from 0. */
function clearNearKink(dy: FloatArray, input: OracleInput): void {
  const { x, extent, mask, residual, statistics = batchStatistics(x, extent, mask) } = input;
  const z = preactivation(input);
  const { y: size } = magnitudes(x, undefined, extent, { ...input, ...statistics }, false, { residual });
  for (let k = 0; k < dy.length; k++) if (Math.abs(z[k]!) < 1e-3 * size[k]!) dy[k] = 0;
}

/** Numbers that `dtype` can hold. */
function fill(dtype: Dtype, { outer, channels, inner }: Extent, make: (j: number, c: number) => number) {
  const data = new Float64Array(outer * channels * inner);
  for (let o = 0, k = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < inner; i++, k++) data[k] = make(o * inner + i, c);
    }
  }
  return numbersOf(elementsFrom(dtype, data));
}

/** Seeded by a text, such as a case's name: cases don't depend on each other's order. */
export function randomSeededBy(text: string): Random {
  let hash = 0;
  for (const character of text) hash = (Math.imul(hash, 31) + character.codePointAt(0)!) | 0;
  const source = mersenne(hash);
  return () => uniformFloat64(source);
}
