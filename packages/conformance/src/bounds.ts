// How far each element of a step's results may lie from the golden one. Running statistics remember what was averaged:
// their errors are propagated along with them, from batch to batch.
import { type Accumulation, type Dtype, type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { errorsOfStatistics, type StatisticsErrors, unitRoundoff } from './arithmetic.js';
import { channelsOf, countsOf } from './channels.js';
import { type Extras, magnitudes, type Normalization } from './magnitudes.js';
import { type Circumstances, type Quantity, tolerances } from './tolerance.js';

/** Element k of a result may lie `tolerance[k] · magnitude[k]` from the golden one. */
export interface Bound {
  readonly tolerance: Float64Array;
  readonly magnitude: Float64Array;
}

/** The bound of what is not computed, but passed on. */
export function exactly(length: number): Bound {
  return { tolerance: new Float64Array(length), magnitude: new Float64Array(length).fill(1) };
}

/** A batch that running statistics take in: running ← kept · running + (1 − kept) · batch. */
export interface TrackedBatch {
  readonly accumulation: Accumulation;
  /** M */
  readonly valuesPerChannel: number;
  /** The momentum, or n/(n + 1) after n batches where the average is cumulative. */
  readonly kept: number;
  /** Which variance of the batch is averaged in. */
  readonly runningVariance: 'population' | 'sample';
}

/** Absolute errors, and the sizes that reports give them relative to, [C] each. */
interface Tracked {
  readonly error: Float64Array;
  readonly size: Float64Array;
}

/** The largest errors of a layer's running statistics, by channel. */
export class RunningErrors {
  readonly #mean: Tracked;
  readonly #variance: Tracked;

  /** Those of a new layer: mean 0, variance 1, no error. */
  constructor(channels: number) {
    const exact = () => ({ error: new Float64Array(channels), size: new Float64Array(channels) });
    this.#mean = exact();
    this.#variance = exact();
    this.#variance.size.fill(1);
  }

  /** The errors as they are now. */
  copy(): RunningErrors {
    const copy = new RunningErrors(this.#mean.error.length);
    for (const name of ['error', 'size'] as const) {
      copy.#mean[name].set(this.#mean[name]);
      copy.#variance[name].set(this.#variance[name]);
    }
    return copy;
  }

  /** After statistics were given, or loaded: they are exact. */
  reset({ mean, variance }: Statistics): void {
    for (const [tracked, values] of [
      [this.#mean, mean],
      [this.#variance, variance],
    ] as const) {
      tracked.error.fill(0);
      values.forEach((value, c) => {
        tracked.size[c] = Math.abs(value);
      });
    }
  }

  /** After a training step; `mean` and `variance` are the exact ones of its batch. */
  track(
    { mean, variance }: Statistics,
    { accumulation, valuesPerChannel: M, kept, runningVariance }: TrackedBatch,
  ): void {
    const correction = runningVariance === 'sample' ? M / (M - 1) : 1;
    const errors = errorsOfStatistics(accumulation, M, mean, variance);
    for (let c = 0; c < mean.length; c++) {
      average(this.#mean, c, kept, errors.mean[c]!, Math.abs(mean[c]!) + Math.sqrt(variance[c]!));
      average(this.#variance, c, kept, correction * errors.variance[c]!, correction * variance[c]!);
    }
  }

  /** As they are now. */
  get errors(): StatisticsErrors {
    return { mean: this.#mean.error.slice(), variance: this.#variance.error.slice() };
  }

  get mean(): Bound {
    return boundOf(this.#mean);
  }

  get variance(): Bound {
    return boundOf(this.#variance);
  }
}

/** Sums smaller than this have float32 terms below the normal numbers: their errors are not relative to their size. */
const smallestSize = 2 ** -102;

/** As it is now: what is tracked goes on. */
function boundOf({ error, size }: Tracked): Bound {
  const [tolerance, magnitude] = [error.slice(), size.slice()];
  for (let c = 0; c < size.length; c++) {
    magnitude[c] = Math.max(magnitude[c]!, tolerance[c]!, smallestSize);
    tolerance[c]! /= magnitude[c]!;
  }
  return { tolerance, magnitude };
}

/**
 * Averages two errors, and adds those of averaging: the layer and the oracle each round a weight, two products and
 * their sum.
 */
function average({ error, size }: Tracked, c: number, kept: number, batchError: number, batchSize: number): void {
  const roundings = 8 * unitRoundoff.float64 * (kept * size[c]! + batchSize);
  error[c] = kept * error[c]! + (1 - kept) * batchError + roundings;
  size[c] = kept * size[c]! + (1 - kept) * batchSize;
}

/** A forward, or a forward and a backward. */
export interface Step extends Extras {
  readonly dtype: Dtype;
  /** What the backend declares for this dtype. */
  readonly accumulation: Accumulation;
  readonly extent: Extent;
  readonly x: ArrayLike<number>;
  /** g, which is dy without an activation. */
  readonly dy?: ArrayLike<number> | undefined;
  /** What normalises x: the exact statistics of the batch, or the running ones. */
  readonly normalization: Normalization;
  /** Whether these are the batch's own. */
  readonly throughStatistics: boolean;
  /** As they are after the step. Default: exact. */
  readonly running?: RunningErrors;
}

/** The bound of every result of a step. Activations go by element, vectors by channel. */
export function boundsOf(step: Step): Readonly<Record<Quantity, Bound>> {
  const { dtype, accumulation, extent, x, dy, normalization, throughStatistics, mask, residual } = step;
  const { running = new RunningErrors(extent.channels) } = step;
  const all = valuesPerChannel(extent);
  const M = mask?.count ?? all;
  const { mean, variance, epsilon } = normalization;
  const errors = throughStatistics ? errorsOfStatistics(accumulation, M, mean, variance) : running.errors;
  const zeros = () => new Float64Array(extent.channels);
  const [meanError, deviationError, conditioning] = [zeros(), zeros(), zeros()];
  for (let c = 0; c < extent.channels; c++) {
    const ofSquare = variance[c]! + epsilon;
    // Then xHat is 0, whatever the mean.
    if (ofSquare === 0) continue;
    const sigma = Math.sqrt(ofSquare);
    meanError[c] = errors.mean[c]! / sigma;
    deviationError[c] = errors.variance[c]! / (2 * ofSquare);
    if (!throughStatistics) conditioning[c] = Math.abs(mean[c]!) / sigma;
  }
  const circumstances: Circumstances = {
    ...{ dtype, accumulation, valuesPerChannel: all, throughStatistics, hasResidual: residual !== undefined },
    ...{ meanError, deviationError, conditioning },
  };
  const magnitude = magnitudes(x, dy, extent, normalization, throughStatistics, { mask, residual });
  const channel = channelsOf(extent);
  const ofElements = (ofChannel: Float64Array) => {
    const each = new Float64Array(channel.length);
    for (let k = 0; k < each.length; k++) each[k] = ofChannel[channel[k]!]!;
    return each;
  };
  const ofGradient = () => {
    const each = ofElements(tolerances('dx', circumstances));
    if (mask === undefined) return each;
    // To a position that does not count no gradient passes through the statistics: there these are constants.
    const others = tolerances('dx', { ...circumstances, throughStatistics: false });
    const counts = countsOf(extent, mask);
    for (let k = 0; k < each.length; k++) if (counts[k] === 0) each[k] = others[channel[k]!]!;
    return each;
  };
  // Getters compute each bound when it is asked for: there may be a million elements.
  return {
    get y() {
      return { tolerance: ofElements(tolerances('y', circumstances)), magnitude: magnitude.y };
    },
    get dx() {
      return { tolerance: ofGradient(), magnitude: magnitude.dx };
    },
    get dgamma() {
      return { tolerance: tolerances('dgamma', circumstances), magnitude: magnitude.dgamma };
    },
    get dbeta() {
      return { tolerance: tolerances('dbeta', circumstances), magnitude: magnitude.dbeta };
    },
    get runningMean() {
      return running.mean;
    },
    get runningVariance() {
      return running.variance;
    },
  };
}
