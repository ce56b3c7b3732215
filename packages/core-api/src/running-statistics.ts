// Running mean and variance: the averages over batches with which inference normalises.
import { BatchNormError, refuse } from './errors.js';
import { assertFinite, assertFiniteMoments, type Moments, mergeInto, type Statistics } from './moments.js';
import type { Momentum, ResolvedOptions } from './options.js';
import { assertCount, assertStateVector, type Tracked } from './state-vectors.js';
import { arrived, type Steps } from './steps.js';
import type { OnDevice } from './tensor.js';
import { zeros } from './vector.js';

/** Errors: `INVALID_STATE` in a layer without running statistics. */
export function assertTracking({ trackRunningStatistics }: ResolvedOptions): void {
  if (trackRunningStatistics) return;
  refuse('INVALID_STATE', 'moments for a layer with trackRunningStatistics false', 'one with running statistics');
}

interface DeferredBatch {
  readonly moments: OnDevice<Moments>;
  readonly momentum: Momentum;
}

/**
 * The running statistics of one layer: mean 0 and variance 1 until the first batch. Batches whose statistics are still
 * on a device are deferred: kept, in order, to be read and averaged in later.
 */
export class RunningStatistics {
  readonly #mean: Float64Array;
  readonly #variance: Float64Array;
  /** The averages with the batch that is being tracked, until they are known to be finite. */
  readonly #next: Statistics;
  /** Delta degrees of freedom: a sum of squared deviations is divided by the number of values less this. */
  readonly #ddof: 0 | 1;
  #batchesTracked = 0;
  #valuesTracked = 0;
  /** Batches that wait on the device, in call order. */
  readonly #deferred: DeferredBatch[] = [];
  /** The errors of batches that could not be averaged in, until `settle` throws the first. */
  readonly #leftOut: unknown[] = [];

  constructor(channels: number, estimator: ResolvedOptions['varianceEstimator']) {
    this.#mean = zeros(channels);
    this.#variance = zeros(channels).fill(1);
    this.#next = { mean: zeros(channels), variance: zeros(channels) };
    this.#ddof = estimator === 'sample' ? 1 : 0;
  }

  /** [C]. Errors: `UNSETTLED`. */
  get mean(): Float64Array {
    this.#assertSettled();
    return this.#mean;
  }

  /** [C]. Errors: `UNSETTLED`. */
  get variance(): Float64Array {
    this.#assertSettled();
    return this.#variance;
  }

  /** Errors: `UNSETTLED`. */
  get batchesTracked(): number {
    this.#assertSettled();
    return this.#batchesTracked;
  }

  /** How many values per channel these batches had together. Errors: `UNSETTLED`. */
  get valuesTracked(): number {
    this.#assertSettled();
    return this.#valuesTracked;
  }

  /** How many batches wait on the device. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /**
   * The vectors, if inference can normalise with them. Errors: `INVALID_STATE` for a number that somebody wrote into
   * them and no state may have, and for a variance of 0 with epsilon 0; `UNSETTLED`.
   */
  forInference(epsilon: number): Statistics {
    const { mean, variance } = this;
    assertStateVector('runningMean', mean, mean.length);
    assertStateVector('runningVariance', variance, variance.length);
    const c = epsilon === 0 ? variance.indexOf(0) : -1;
    if (c >= 0) refuse('INVALID_STATE', `runningVariance[${c}] = 0 with epsilon 0`, 'a sum that is positive');
    return { mean, variance };
  }

  /** Averages a batch in. Errors: `NON_FINITE_STATISTICS`, and then nothing has changed. */
  track(batch: Moments, momentum: Momentum): void {
    assertFiniteMoments(batch);
    const next = this.#next;
    const { count: M, mean, m2 } = batch;
    if (momentum === 'exact') this.#merge(batch, next);
    else {
      const kept = momentum === 'cumulative' ? this.#batchesTracked / (this.#batchesTracked + 1) : momentum;
      // Bessel's
      const correction = M / (M - this.#ddof);
      average(this.#mean, mean, 1, kept, 1 - kept, next.mean);
      average(this.#variance, m2, M, kept, (1 - kept) * correction, next.variance);
    }
    // An average of finite numbers may overflow.
    assertFinite('a batch', 'mean', next.mean);
    assertFinite('a batch', 'variance', next.variance);
    this.#mean.set(next.mean);
    this.#variance.set(next.variance);
    this.#batchesTracked++;
    this.#valuesTracked += M;
  }

  /**
   * Averages in a batch whose moments are on the device: at once if they have a `view` and no batch waits, else later.
   * A batch that can't be averaged in is left out, and `settle` throws its error. Disposes `moments`.
   */
  trackOnDevice(moments: OnDevice<Moments>, momentum: Momentum): void {
    if (moments.view === undefined || this.#deferred.length > 0) {
      this.#deferred.push({ moments, momentum });
      return;
    }
    try {
      this.track(moments.view(), momentum);
    } catch (error) {
      this.#leftOut.push(error);
    } finally {
      moments.dispose();
    }
  }

  /**
   * Averages in the batches that wait on the device, in order. `settle` throws the error of one that can't be. Those that
   * can't be read yet (`UNSUPPORTED`) go on waiting: returns that error. By any other they never can be.
   */
  *trackDeferred(): Steps<BatchNormError | undefined> {
    for (let [first] = this.#deferred; first !== undefined; [first] = this.#deferred) {
      const { moments, momentum } = first;
      try {
        this.track(yield* arrived(moments.read()), momentum);
      } catch (error) {
        if (error instanceof BatchNormError && error.code === 'UNSUPPORTED') return error;
        this.#leftOut.push(error);
      }
      // Not in a `finally`: where nobody can wait, the batch goes on waiting.
      this.#deferred.shift();
      moments.dispose();
    }
    return undefined;
  }

  /**
   * `trackDeferred`. Errors: that of the first batch that was left out since the latest `settle`; others are in. And
   * `UNSUPPORTED` while some can't be read yet.
   */
  *settle(): Steps<void> {
    const refused = yield* this.trackDeferred();
    if (refused) throw refused;
    const [first] = this.#leftOut.splice(0);
    if (first !== undefined) throw first;
  }

  /** As if the values of `moments`, enough for the estimator, had been tracked in so many batches, and no other. */
  load(moments: Moments, batchesTracked: number): void {
    this.#mean.set(moments.mean);
    this.#variance.set(moments.m2);
    this.#divide(this.#variance, moments.count);
    this.restart({ batchesTracked, valuesTracked: moments.count });
  }

  /** Sets the counts, after vectors were overwritten. Forgets batches that wait, and errors of those left out. */
  restart({ batchesTracked, valuesTracked = 0 }: Tracked): void {
    this.forgetDeferred();
    this.#leftOut.length = 0;
    this.#batchesTracked = batchesTracked;
    this.#valuesTracked = valuesTracked;
  }

  /** Frees what is on the device of batches that wait. */
  forgetDeferred(): void {
    for (const { moments } of this.#deferred.splice(0)) moments.dispose();
  }

  /** The vectors, whether or not batches wait: to be overwritten. */
  get vectors(): Statistics {
    return { mean: this.#mean, variance: this.#variance };
  }

  /** The mean and variance of all values: those before this batch, and those in it. */
  #merge(batch: Moments, next: Statistics): void {
    const n = this.#valuesTracked;
    assertCount('valuesTracked', n + batch.count);
    const before = { count: n, mean: this.#mean, m2: multiply(this.#variance, n - this.#ddof, next.variance) };
    mergeInto(next.mean, next.variance, before, batch);
    this.#divide(next.variance, n + batch.count);
  }

  /** The variance of `count` values, from Σ (x − mean)². */
  #divide(m2: Float64Array, count: number): void {
    for (let c = 0; c < m2.length; c++) m2[c]! /= count - this.#ddof;
  }

  #assertSettled(): void {
    if (this.#deferred.length === 0) return;
    refuse(
      'UNSETTLED',
      `a question for running statistics while ${this.#deferred.length} batches wait on the device for them`,
      '`await layer.settle()` before it',
    );
  }
}

/** next = kept · running + taken · batch / divisor, for each channel. */
function average(
  running: Float64Array,
  batch: Float64Array,
  divisor: number,
  kept: number,
  taken: number,
  next: Float64Array,
): void {
  for (let c = 0; c < next.length; c++) {
    next[c] = kept * running[c]! + taken * (batch[c]! / divisor);
  }
}

/** product = factor · values */
function multiply(values: Float64Array, factor: number, product: Float64Array): Float64Array {
  for (let c = 0; c < product.length; c++) product[c] = factor * values[c]!;
  return product;
}
