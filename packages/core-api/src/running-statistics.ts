// Running mean and variance: how a sequence of batches is averaged for inference.
import type { Statistics } from './backend.js';
import { BatchNormError } from './errors.js';
import type { OnDevice } from './tensor.js';

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

export interface RunningStatisticsOptions {
  readonly momentum: number | 'cumulative';
  readonly runningVariance: 'population' | 'sample';
}

interface DeferredBatch {
  readonly statistics: OnDevice<Statistics>;
  readonly valuesPerChannel: number;
}

/** The running statistics of one layer: mean 0 and variance 1 until the first batch. */
export class RunningStatistics {
  /** [C] */
  readonly mean: Float64Array;
  /** [C] */
  readonly variance: Float64Array;
  batchesTracked = 0;
  readonly #options: RunningStatisticsOptions;
  readonly #deferred: DeferredBatch[] = [];

  constructor(channels: number, options: RunningStatisticsOptions) {
    this.mean = new Float64Array(channels);
    this.variance = new Float64Array(channels).fill(1);
    this.#options = options;
  }

  /** How many batches wait on the device for `settle`. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /**
   * Averages in a batch of `valuesPerChannel` (M) values per channel, or remembers it for `settle` if it is on the device.
   * Errors: `NON_FINITE_STATISTICS`, and nothing has changed.
   */
  track(statistics: Statistics | OnDevice<Statistics>, valuesPerChannel: number): void {
    if ('read' in statistics) this.#deferred.push({ statistics, valuesPerChannel });
    else this.#fold(statistics, valuesPerChannel);
  }

  /**
   * Reads and averages in what waits on the device, in order.
   * Errors: that of the first batch which can't be averaged in; it is left out, and the others are in.
   */
  async settle(): Promise<void> {
    const errors: unknown[] = [];
    for (const { statistics, valuesPerChannel } of this.#deferred.splice(0)) {
      try {
        this.#fold(await statistics.read(), valuesPerChannel);
      } catch (error) {
        errors.push(error);
      } finally {
        statistics.dispose();
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  /** Forgets what waits on the device. */
  discardDeferred(): void {
    for (const { statistics } of this.#deferred.splice(0)) statistics.dispose();
  }

  /** running ← momentum · running + (1 − momentum) · batch */
  #fold(batch: Statistics, valuesPerChannel: number): void {
    assertFiniteStatistics(batch);
    const { momentum, runningVariance } = this.#options;
    const M = valuesPerChannel;
    const kept = momentum === 'cumulative' ? this.batchesTracked / (this.batchesTracked + 1) : momentum;
    const correction = runningVariance === 'sample' ? M / (M - 1) : 1;
    average(this.mean, batch.mean, kept, 1 - kept);
    average(this.variance, batch.variance, kept, (1 - kept) * correction);
    this.batchesTracked++;
  }
}

/** running ← kept · running + taken · batch */
function average(running: Float64Array, batch: Float64Array, kept: number, taken: number): void {
  for (let c = 0; c < running.length; c++) {
    running[c] = kept * running[c]! + taken * batch[c]!;
  }
}
