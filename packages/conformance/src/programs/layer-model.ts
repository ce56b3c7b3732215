// What a layer must answer: batch normalisation by the oracle, with parameters, running statistics and the latest
// forward.
import {
  type Accumulation,
  type Backend,
  type ErrorCode,
  extentOf,
  type FloatArray,
  type LayerOptions,
  type LoadableState,
  type Mask,
  type Momentum,
  resolveLayerOptions,
  type Statistics,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { accumulationOf } from '../arithmetic.js';
import { type Bound, boundsOf, exactly, RunningErrors } from '../bounds.js';
import { float64Of } from '../channels.js';
import type { MemoryKind } from '../conformance-case.js';
import { type Preactivation, shownBy } from '../gates.js';
import { countedPositions } from '../masks.js';
import { activated, backward, batchStatistics, type OracleInput, preactivation } from '../oracle.js';
import type { Quantity } from '../tolerance.js';

/** An exact result, and its bound. */
export interface Expectation extends Bound {
  readonly values: ArrayLike<number>;
}

/** What a backward needs of its forward. */
export interface Forwarded extends OracleInput {
  readonly statistics: Statistics;
  readonly throughStatistics: boolean;
  readonly memory: MemoryKind;
  readonly shape: readonly number[];
  /** The errors of the running statistics, as they were then. */
  readonly running: RunningErrors;
}

/** How a forward is called. */
export interface ForwardMode {
  readonly training: boolean;
  readonly track: boolean;
  readonly memory: MemoryKind;
  readonly mask?: Mask | undefined;
  readonly residual?: FloatArray | undefined;
}

/** Those of a backward; dresidual to the bit, after a forward with a residual. */
export type ExpectedGradients = Readonly<Record<'dx' | 'dgamma' | 'dbeta', Expectation>> & {
  readonly dresidual?: Expectation;
};

export class LayerModel {
  readonly options: ReturnType<typeof resolveLayerOptions>;
  readonly #backend: Backend;
  gamma: Float64Array;
  beta: Float64Array;
  readonly running: Statistics;
  batchesTracked = 0;
  disposed = false;
  momentum: Exclude<Momentum, 'exact'>;
  /** The forward that the layer's own backward differentiates. */
  latest: Forwarded | undefined;
  #errors: RunningErrors;
  /** z of forwards and its bounds, which y and gradients behind 'relu' need. */
  readonly #z = new WeakMap<Forwarded, Preactivation>();
  /** Whether a batch on the device was not finite, and was left out: the next `settle` fails for it. */
  #hasBadBatch = false;

  constructor(options: LayerOptions, backend: Backend) {
    this.options = resolveLayerOptions(options);
    this.#backend = backend;
    const { numFeatures: C, scale, center } = this.options;
    this.momentum = this.options.momentum as typeof this.momentum;
    this.gamma = new Float64Array(scale ? C : 0).fill(1);
    this.beta = new Float64Array(center ? C : 0);
    this.running = { mean: new Float64Array(C), variance: new Float64Array(C).fill(1) };
    this.#errors = new RunningErrors(C);
  }

  /** Averages in what waits on the device. The code with which the layer's call fails, or undefined. */
  settle(): ErrorCode | undefined {
    const failed = this.#hasBadBatch;
    this.#hasBadBatch = false;
    return failed ? 'NON_FINITE_STATISTICS' : undefined;
  }

  /** y, or the code with which the layer refuses; the forward is the latest. */
  forward(x: FloatArray, shape: readonly number[], mode: ForwardMode): Expectation | ErrorCode {
    const forwarded = this.pass(x, shape, mode);
    if (typeof forwarded === 'string') return forwarded;
    this.latest = forwarded;
    return this.y(forwarded);
  }

  /** A forward, for its backward, or the code with which the layer refuses. */
  pass(x: FloatArray, shape: readonly number[], mode: ForwardMode): Forwarded | ErrorCode {
    const { training, track, memory, residual } = mode;
    const { axis, epsilon, trackRunningStatistics: tracks, runningVariance, activation } = this.options;
    const extent = extentOf(shape, axis);
    const usesBatch = training || !tracks;
    const mask = usesBatch && mode.mask ? countedPositions(mode.mask, shape, axis) : undefined;
    if (mask?.count === 0) return 'EMPTY_BATCH';
    const M = mask?.count ?? valuesPerChannel(extent);
    if (usesBatch && runningVariance === 'sample' && M === 1) return 'SINGLE_VALUE';
    const code = usesBatch ? undefined : this.settle();
    if (code !== undefined) return code;
    if (!usesBatch && this.running.variance.some((value) => value + epsilon === 0)) return 'INVALID_STATE';
    const { mean, variance } = this.running;
    const values = float64Of(x);
    const statistics = usesBatch
      ? batchStatistics(values, extent, mask)
      : { mean: mean.slice(), variance: variance.slice() };
    if (training && tracks && track) {
      const finite = [statistics.mean, statistics.variance].every((values) => values.every(Number.isFinite));
      if (memory !== 'device' && !finite) return 'NON_FINITE_STATISTICS';
      if (finite) this.#track(statistics, M);
      else this.#hasBadBatch = true;
    }
    return {
      ...{ extent, x: values, ...this.#parameters(), epsilon },
      statistics,
      throughStatistics: usesBatch,
      ...{ mask, residual, activation },
      ...{ memory, shape, running: this.#errors.copy() },
    };
  }

  y(forwarded: Forwarded): Expectation {
    const { z, bound } = this.#zOf(forwarded);
    return { values: activated(z, forwarded.activation), ...bound };
  }

  /**
   * The gradients of a pass, or of the latest forward, of which there must have been one. `y` is what the backend gave:
   * behind 'relu' it shows which elements passed, where rounding decides it.
   */
  backward(dy: FloatArray, y?: FloatArray, forwarded: Forwarded = this.latest!): ExpectedGradients {
    const isRelu = forwarded.activation === 'relu' && y !== undefined;
    const gates = isRelu ? shownBy(y, this.#zOf(forwarded)) : undefined;
    const { dx, dresidual, dgamma, dbeta } = backward(forwarded, dy, gates);
    const bounds = this.#bounds(forwarded, dresidual);
    return {
      ...(forwarded.residual && { dresidual: { values: dresidual, ...exactly(dresidual.length) } }),
      dx: { values: dx, ...bounds.dx },
      dgamma: { values: this.options.scale ? dgamma : [], ...bounds.dgamma },
      dbeta: { values: this.options.center ? dbeta : [], ...bounds.dbeta },
    };
  }

  /** Running mean and variance; nothing in a layer that keeps none. */
  statistics(): Readonly<Record<'runningMean' | 'runningVariance', Expectation>> {
    const { mean, variance } = this.running;
    const kept = (values: Float64Array) => (this.options.trackRunningStatistics ? values.slice() : []);
    return {
      runningMean: { values: kept(mean), ...this.#errors.mean },
      runningVariance: { values: kept(variance), ...this.#errors.variance },
    };
  }

  loadState({ gamma, beta, runningMean, runningVariance, batchesTracked }: LoadableState): void {
    this.gamma.set(gamma);
    this.beta.set(beta);
    if (this.options.trackRunningStatistics) {
      this.running.mean.set(runningMean);
      this.running.variance.set(runningVariance);
      // New arrays: the latest forward keeps the ones that it used.
      this.#errors = new RunningErrors(this.options.numFeatures);
      this.#errors.reset(this.running);
    }
    this.batchesTracked = batchesTracked;
    this.#hasBadBatch = false;
  }

  resetRunningStatistics(): void {
    this.running.mean.fill(0);
    this.running.variance.fill(1);
    this.#errors = new RunningErrors(this.options.numFeatures);
    this.batchesTracked = 0;
    this.#hasBadBatch = false;
  }

  #track(batch: Statistics, M: number): void {
    const { momentum } = this;
    const { runningVariance } = this.options;
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

  #zOf(forwarded: Forwarded): Preactivation {
    const known = this.#z.get(forwarded);
    if (known) return known;
    const made = { z: preactivation(forwarded), bound: this.#bounds(forwarded, undefined).y };
    this.#z.set(forwarded, made);
    return made;
  }

  #bounds(
    { extent, x, gamma, beta, epsilon, statistics, throughStatistics, running, mask, residual }: Forwarded,
    g: Float64Array | undefined,
  ): Readonly<Record<Quantity, Bound>> {
    return boundsOf({
      dtype: this.options.dtype,
      accumulation: this.#accumulation,
      extent,
      x,
      dy: g,
      normalization: { ...statistics, epsilon, gamma, beta },
      throughStatistics,
      running,
      ...{ mask, residual },
    });
  }

  /** As they are now; ones and zeros where there are none. */
  #parameters(): { readonly gamma: Float64Array; readonly beta: Float64Array } {
    const { scale, center, numFeatures: C } = this.options;
    return {
      gamma: scale ? this.gamma.slice() : new Float64Array(C).fill(1),
      beta: center ? this.beta.slice() : new Float64Array(C),
    };
  }

  get #accumulation(): Accumulation {
    return accumulationOf(this.#backend, this.options.dtype);
  }
}
