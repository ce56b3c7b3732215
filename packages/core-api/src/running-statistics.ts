// Running mean and variance: how a sequence of batches is averaged for inference.
import type { Statistics } from './backend.js';
import { BatchNormError } from './errors.js';
import type { Momentum } from './options.js';
import { assertStateVector, type Tracked } from './state.js';
import type { OnDevice } from './tensor.js';
import { fail } from './validate.js';
import { zeros } from './vector.js';

/** Fails with `NON_FINITE_STATISTICS`, naming the first channel whose batch mean or variance is NaN or infinite. */
export function assertFiniteStatistics({ mean, variance }: Statistics): void {
  assertFinite('mean', mean);
  assertFinite('variance', variance);
}

function assertFinite(name: string, values: Float64Array): void {
  for (let c = 0; c < values.length; c++) {
    if (!Number.isFinite(values[c])) {
      throw new BatchNormError(
        'NON_FINITE_STATISTICS',
        `received a batch whose ${name} of channel ${c} is ${values[c]}, expected finite values: ` +
          'it would poison the running statistics',
      );
    }
  }
}

/** How one batch is averaged in. */
export interface BatchWeight {
  /** M */
  readonly valuesPerChannel: number;
  readonly momentum: Momentum;
}

interface DeferredBatch {
  readonly statistics: OnDevice<Statistics>;
  readonly weight: BatchWeight;
}

/** The running statistics of one layer: mean 0 and variance 1 until the first batch. */
export class RunningStatistics {
  readonly #mean: Float64Array;
  readonly #variance: Float64Array;
  /** What a batch would make of them, before it is known to be finite. */
  readonly #next: Statistics;
  readonly #kind: 'population' | 'sample';
  #batchesTracked = 0;
  #valuesTracked = 0;
  /** What waits on the device, in order; the first is being read while `fold` runs. */
  readonly #deferred: DeferredBatch[] = [];
  /** Why batches were left out, until somebody is told. */
  readonly #leftOut: unknown[] = [];

  constructor(channels: number, kind: 'population' | 'sample') {
    this.#mean = zeros(channels);
    this.#variance = zeros(channels).fill(1);
    this.#next = { mean: zeros(channels), variance: zeros(channels) };
    this.#kind = kind;
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

  /** How many values per channel were in these batches. Errors: `UNSETTLED`. */
  get valuesTracked(): number {
    this.#assertSettled();
    return this.#valuesTracked;
  }

  /** How many batches wait on the device for `fold`. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /** Mean and variance as inference may use them. Errors: `INVALID_STATE`, naming the channel, for what somebody wrote into them. */
  forInference(epsilon: number): Statistics {
    const { mean, variance } = this;
    assertStateVector('runningMean', mean, mean.length);
    assertStateVector('runningVariance', variance, variance.length);
    const c = epsilon === 0 ? variance.indexOf(0) : -1;
    if (c >= 0) fail('INVALID_STATE', `runningVariance[${c}] = 0 with epsilon 0`, 'a sum that is positive');
    return { mean, variance };
  }

  /** Averages in a batch. Errors: `NON_FINITE_STATISTICS`, and nothing has changed. */
  track(batch: Statistics, { valuesPerChannel: M, momentum }: BatchWeight): void {
    assertFiniteStatistics(batch);
    const next = this.#next;
    if (momentum === 'exact') this.#merge(batch, M, next);
    else {
      const kept = momentum === 'cumulative' ? this.#batchesTracked / (this.#batchesTracked + 1) : momentum;
      const correction = this.#kind === 'sample' ? M / (M - 1) : 1;
      average(this.#mean, batch.mean, kept, 1 - kept, next.mean);
      average(this.#variance, batch.variance, kept, (1 - kept) * correction, next.variance);
    }
    // Finite numbers may have a difference, or an average, that is none.
    assertFiniteStatistics(next);
    this.#mean.set(next.mean);
    this.#variance.set(next.variance);
    this.#batchesTracked++;
    this.#valuesTracked += M;
  }

  /**
   * Averages in a batch whose statistics are on the device: at once where memory is shared with the host, else with `fold`. One
   * that can't be averaged in is left out, which `settle` tells. Disposes `statistics`.
   */
  trackOnDevice(statistics: OnDevice<Statistics>, weight: BatchWeight): void {
    if (statistics.view === undefined || this.#deferred.length > 0) {
      this.#deferred.push({ statistics, weight });
      return;
    }
    try {
      this.track(statistics.view(), weight);
    } catch (error) {
      this.#leftOut.push(error);
    } finally {
      statistics.dispose();
    }
  }

  /** Reads and averages in what waits on the device, in order. One that can't be averaged in is left out, which `settle` tells. */
  async fold(): Promise<void> {
    for (const { statistics, weight } of this.#deferred) {
      try {
        this.track(await statistics.read(), weight);
      } catch (error) {
        this.#leftOut.push(error);
      } finally {
        statistics.dispose();
      }
    }
    this.#deferred.length = 0;
  }

  /** `fold`. Errors: once, that of the first batch that was left out since the last time; the others are in. */
  async settle(): Promise<void> {
    await this.fold();
    const [first] = this.#leftOut.splice(0);
    if (first !== undefined) throw first;
  }

  /** Takes over counts, of vectors that were written; what waits on the device is forgotten. */
  restart({ batchesTracked, valuesTracked = 0 }: Tracked): void {
    for (const { statistics } of this.#deferred.splice(0)) statistics.dispose();
    this.#leftOut.length = 0;
    this.#batchesTracked = batchesTracked;
    this.#valuesTracked = valuesTracked;
  }

  /** The vectors, whether or not batches wait: for those who overwrite them. */
  get vectors(): Statistics {
    return { mean: this.#mean, variance: this.#variance };
  }

  /** Mean and variance of all values, of n before and of M now (Chan, Golub and LeVeque, 1983, The American Statistician 37). */
  #merge(batch: Statistics, M: number, next: Statistics): void {
    const n = this.#valuesTracked;
    const lost = this.#kind === 'sample' ? 1 : 0;
    for (let c = 0; c < next.mean.length; c++) {
      const mean = n === 0 ? 0 : this.#mean[c]!;
      const before = n === 0 ? 0 : (n - lost) * this.#variance[c]!;
      const delta = batch.mean[c]! - mean;
      const between = delta ** 2 * n * (M / (n + M));
      next.variance[c] = (before + M * batch.variance[c]! + between) / (n + M - lost);
      next.mean[c] = mean + (delta * M) / (n + M);
    }
  }

  #assertSettled(): void {
    if (this.#deferred.length === 0) return;
    fail(
      'UNSETTLED',
      `a question for running statistics while ${this.#deferred.length} batches wait on the device for them`,
      '`await layer.settle()` before it',
    );
  }
}

/** next = kept · running + taken · batch */
function average(running: Float64Array, batch: Float64Array, kept: number, taken: number, next: Float64Array): void {
  for (let c = 0; c < next.length; c++) {
    next[c] = kept * running[c]! + taken * batch[c]!;
  }
}
