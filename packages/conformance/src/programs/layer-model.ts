// What a layer must answer: batch normalisation by the oracle, with parameters, running statistics and the latest forward.
import {
  type Accumulation,
  type Backend,
  type BatchNormState,
  type ErrorCode,
  extentOf,
  type FloatArray,
  type LayerOptions,
  resolveLayerOptions,
  type Statistics,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { accumulationOf } from '../arithmetic.js';
import { type Bound, boundsOf, RunningErrors } from '../bounds.js';
import type { MemoryKind } from '../conformance-case.js';
import { backward, batchStatistics, forward, type OracleInput } from '../oracle.js';
import type { Quantity } from '../tolerance.js';

/** An exact result, and how far from it one may be. */
export interface Expectation extends Bound {
  readonly values: ArrayLike<number>;
}

/** The forward that a backward differentiates. */
interface Latest extends OracleInput {
  readonly statistics: Statistics;
  readonly throughStatistics: boolean;
  readonly memory: MemoryKind;
  readonly shape: readonly number[];
  /** Of the statistics that it used, as they were. */
  readonly running: RunningErrors;
}

/** So many batches wait on the device for the running statistics (see BatchNorm): the next one settles them. */
const mostDeferred = 64;

export class LayerModel {
  readonly options: ReturnType<typeof resolveLayerOptions>;
  readonly #backend: Backend;
  gamma: Float64Array;
  beta: Float64Array;
  readonly running: Statistics;
  batchesTracked = 0;
  disposed = false;
  latest: Latest | undefined;
  #errors: RunningErrors;
  /** On the device: how many batches wait, and whether one of them can't be averaged in, which is told when they settle. */
  #deferred = 0;
  #hasBadBatch = false;

  constructor(options: LayerOptions, backend: Backend) {
    this.options = resolveLayerOptions(options);
    this.#backend = backend;
    const { numFeatures: C, affine } = this.options;
    this.gamma = new Float64Array(affine ? C : 0).fill(1);
    this.beta = new Float64Array(affine ? C : 0);
    this.running = { mean: new Float64Array(C), variance: new Float64Array(C).fill(1) };
    this.#errors = new RunningErrors(C);
  }

  /** What waits on the device is averaged in. The code with which the call that asks for that fails, or undefined. */
  settle(): ErrorCode | undefined {
    this.#deferred = 0;
    const failed = this.#hasBadBatch;
    this.#hasBadBatch = false;
    return failed ? 'NON_FINITE_STATISTICS' : undefined;
  }

  /** y, or the code with which the layer refuses. */
  forward(x: FloatArray, shape: readonly number[], training: boolean, memory: MemoryKind): Expectation | ErrorCode {
    const { axis, epsilon, trackRunningStatistics: tracks, runningVariance } = this.options;
    const extent = extentOf(shape, axis);
    const M = valuesPerChannel(extent);
    const usesBatch = training || !tracks;
    if (usesBatch && runningVariance === 'sample' && M === 1) return 'SINGLE_VALUE';
    // Batches are averaged in in order: those on the device come before one on the host, and before they are used.
    const settles =
      !usesBatch || (training && tracks && (memory === 'host' ? this.#deferred > 0 : this.#deferred >= mostDeferred));
    if (settles) {
      const code = this.settle();
      if (code !== undefined) return code;
    }
    const batch = batchStatistics(x, extent);
    const finite = [...batch.mean, ...batch.variance].every(Number.isFinite);
    if (training && tracks) {
      if (memory === 'host' && !finite) return 'NON_FINITE_STATISTICS';
      if (memory === 'device') this.#deferred++;
      if (finite) this.#track(batch, M);
      else this.#hasBadBatch = true;
    }
    const { mean, variance } = this.running;
    this.latest = {
      ...{ extent, x, ...this.#parameters(), epsilon },
      statistics: usesBatch ? batch : { mean: mean.slice(), variance: variance.slice() },
      throughStatistics: usesBatch,
      ...{ memory, shape, running: this.#errors },
    };
    return { values: forward(this.latest), ...this.#bounds(this.latest, undefined).y };
  }

  /** Assumes that there was a forward. */
  backward(dy: FloatArray): Readonly<Record<'dx' | 'dgamma' | 'dbeta', Expectation>> {
    const { dx, dgamma, dbeta } = backward(this.latest!, dy);
    const bounds = this.#bounds(this.latest!, dy);
    return {
      dx: { values: dx, ...bounds.dx },
      dgamma: { values: this.options.affine ? dgamma : [], ...bounds.dgamma },
      dbeta: { values: this.options.affine ? dbeta : [], ...bounds.dbeta },
    };
  }

  /** Running mean and variance; nothing in a layer that keeps none. */
  statistics(): Readonly<Record<'runningMean' | 'runningVariance', Expectation>> {
    const { mean, variance } = this.running;
    const kept = (values: Float64Array) => (this.options.trackRunningStatistics ? values.slice() : []);
    return {
      runningMean: { values: kept(mean), ...snapshot(this.#errors.mean, mean.length) },
      runningVariance: { values: kept(variance), ...snapshot(this.#errors.variance, mean.length) },
    };
  }

  loadState({ gamma, beta, runningMean, runningVariance, batchesTracked }: BatchNormState): void {
    if (this.options.affine) {
      this.gamma.set(gamma);
      this.beta.set(beta);
    }
    if (this.options.trackRunningStatistics) {
      this.running.mean.set(runningMean);
      this.running.variance.set(runningVariance);
      // Not the ones that the latest forward knows.
      this.#errors = new RunningErrors(this.options.numFeatures);
      this.#errors.reset(this.running);
    }
    this.batchesTracked = batchesTracked;
    this.#deferred = 0;
    this.#hasBadBatch = false;
  }

  #track(batch: Statistics, M: number): void {
    const { momentum, runningVariance } = this.options;
    const kept = momentum === 'cumulative' ? this.batchesTracked / (this.batchesTracked + 1) : momentum;
    const taken = 1 - kept;
    const takenVariance = runningVariance === 'sample' ? (taken * M) / (M - 1) : taken;
    const { mean, variance } = this.running;
    for (let c = 0; c < mean.length; c++) {
      mean[c] = kept * mean[c]! + taken * batch.mean[c]!;
      variance[c] = kept * variance[c]! + takenVariance * batch.variance[c]!;
    }
    this.batchesTracked++;
    this.#errors.track(batch, { accumulation: this.#accumulation, valuesPerChannel: M, kept, runningVariance });
  }

  #bounds(
    { extent, x, gamma, beta, epsilon, statistics, throughStatistics, running }: Latest,
    dy: FloatArray | undefined,
  ): Readonly<Record<Quantity, Bound>> {
    return boundsOf({
      dtype: this.options.dtype,
      accumulation: this.#accumulation,
      extent,
      x,
      dy,
      normalization: { ...statistics, epsilon, gamma, beta },
      throughStatistics,
      running,
    });
  }

  /** As they are now; ones and zeros where there are none. */
  #parameters(): { readonly gamma: Float64Array; readonly beta: Float64Array } {
    const { affine, numFeatures: C } = this.options;
    if (affine) return { gamma: this.gamma.slice(), beta: this.beta.slice() };
    return { gamma: new Float64Array(C).fill(1), beta: new Float64Array(C) };
  }

  get #accumulation(): Accumulation {
    return accumulationOf(this.#backend, this.options.dtype);
  }
}

/** A bound as it is now, for a result that is looked at later. */
function snapshot({ tolerance, magnitude }: Bound, channels: number): Bound {
  const [tolerances, magnitudes] = [tolerance, magnitude].map((of) =>
    Float64Array.from({ length: channels }, (_, c) => of(c)),
  );
  return { tolerance: (c) => tolerances![c]!, magnitude: (c) => magnitudes![c]! };
}
