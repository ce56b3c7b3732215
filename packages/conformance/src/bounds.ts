// How far each element of a step's results may lie from the golden one. Running statistics remember what was averaged:
// their errors are propagated along with them, from batch to batch.
import { type Accumulation, type Dtype, type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { errorsOfStatistics, type StatisticsErrors, unitRoundoff } from './arithmetic.js';
import { channelsOf, countsOf } from './channels.js';
import { type Extras, lazily, type Magnitude, magnitudes, type Normalization } from './magnitudes.js';
import { type Quantity, tolerance } from './tolerance.js';

/** Element `index` of a result may lie `tolerance(index) · magnitude(index)` from the golden one. */
export interface Bound {
  readonly tolerance: (index: number) => number;
  readonly magnitude: Magnitude;
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
    for (let c = 0; c < mean.length; c++) {
      const errors = errorsOfStatistics(accumulation, M, mean[c]!, variance[c]!);
      const size = Math.abs(mean[c]!) + Math.sqrt(variance[c]!);
      average(this.#mean, c, kept, { error: errors.mean, size });
      average(this.#variance, c, kept, { error: correction * errors.variance, size: correction * variance[c]! });
    }
  }

  /** Of channel `c`. */
  errors(c: number): StatisticsErrors {
    return { mean: this.#mean.error[c]!, variance: this.#variance.error[c]! };
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
  const magnitudes = size.map((value, c) => Math.max(value, error[c]!, smallestSize));
  const tolerances = error.map((value, c) => value / magnitudes[c]!);
  return { tolerance: lazily(() => tolerances), magnitude: lazily(() => magnitudes) };
}

/**
 * Averages two errors, and adds those of averaging: the layer and the oracle each round a weight, two products and
 * their sum.
 */
function average({ error, size }: Tracked, c: number, kept: number, batch: { error: number; size: number }): void {
  const roundings = 8 * unitRoundoff.float64 * (kept * size[c]! + batch.size);
  error[c] = kept * error[c]! + (1 - kept) * batch.error + roundings;
  size[c] = kept * size[c]! + (1 - kept) * batch.size;
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
  const circumstances = Array.from({ length: extent.channels }, (_, c) => {
    const [mean, variance] = [normalization.mean[c]!, normalization.variance[c]!];
    const errors = throughStatistics ? errorsOfStatistics(accumulation, M, mean, variance) : running.errors(c);
    const ofSquare = variance + normalization.epsilon;
    const sigma = Math.sqrt(ofSquare);
    return {
      dtype,
      accumulation,
      valuesPerChannel: all,
      // Where both are 0, xHat is 0, whatever the mean.
      meanError: sigma === 0 ? 0 : errors.mean / sigma,
      deviationError: sigma === 0 ? 0 : errors.variance / (2 * ofSquare),
      throughStatistics,
      conditioning: throughStatistics || sigma === 0 ? 0 : Math.abs(mean) / sigma,
      hasResidual: residual !== undefined,
    };
  });
  const magnitude = magnitudes(x, dy, extent, normalization, throughStatistics, { mask, residual });
  const byChannel = (quantity: keyof typeof magnitude) =>
    new Float64Array(extent.channels).map((_, c) => tolerance(quantity, circumstances[c]!));
  const ofElements = (quantity: 'y' | 'dx'): Bound => {
    const tolerances = byChannel(quantity);
    const ofEach = () => {
      const channel = channelsOf(extent);
      const each = new Float64Array(channel.length);
      for (let k = 0; k < each.length; k++) each[k] = tolerances[channel[k]!]!;
      return each;
    };
    return { tolerance: lazily(ofEach), magnitude: magnitude[quantity] };
  };
  const ofGradient = (): Bound => {
    if (mask === undefined) return ofElements('dx');
    const counted = byChannel('dx');
    // To a position that does not count no gradient passes through the statistics: there these are constants.
    const others = counted.map((_, c) => tolerance('dx', { ...circumstances[c]!, throughStatistics: false }));
    const ofEach = () => {
      const [channel, counts] = [channelsOf(extent), countsOf(extent, mask)];
      const each = new Float64Array(channel.length);
      for (let k = 0; k < each.length; k++) each[k] = (counts[k] === 1 ? counted : others)[channel[k]!]!;
      return each;
    };
    return { tolerance: lazily(ofEach), magnitude: magnitude.dx };
  };
  const ofChannels = (quantity: 'dgamma' | 'dbeta'): Bound => {
    const tolerances = byChannel(quantity);
    return { tolerance: lazily(() => tolerances), magnitude: magnitude[quantity] };
  };
  // Getters compute each bound when it is asked for: there may be a million elements.
  return {
    get y() {
      return ofElements('y');
    },
    get dx() {
      return ofGradient();
    },
    get dgamma() {
      return ofChannels('dgamma');
    },
    get dbeta() {
      return ofChannels('dbeta');
    },
    runningMean: running.mean,
    runningVariance: running.variance,
  };
}
