// The passes for one plan: which opcodes in which order make an operation, and on which threads.
import type { MaybePromise, Plan } from '@batchnorm/core-api';
import type { KernelExports } from './abi/exports.js';
import * as opcode from './abi/opcode.js';
import type { Instance } from './instance.js';
import { Job } from './job.js';
import { channelsPerTask, type Tiling, tilingOf } from './tiling.js';
import type { WorkerPool } from './worker-pool.js';

export class Passes {
  readonly tiling: Tiling;
  readonly job: Job;
  readonly #exports: KernelExports;
  readonly #pool: WorkerPool | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor({ memory, exports, pool }: Instance, plan: Plan) {
    this.tiling = tilingOf(plan);
    this.job = new Job(memory, this.tiling);
    this.#exports = exports;
    this.#pool = this.tiling.isParallel ? pool : undefined;
  }

  /**
   * Performs `code` on this thread, by default over all channels. Whether something is left: see assembly/kernels.ts.
   */
  perform(code: number, from = 0, to: number = this.tiling.channels): boolean {
    return this.#exports.perform(this.job.address, code, from, to) !== 0;
  }

  /** Batch statistics of x, coefficients, and y. Errors: `DISPOSED`, before y is written. */
  forwardTraining(): MaybePromise<void> {
    if (!this.tiling.isChannelsLast) return this.#overChannels(opcode.forwardTraining);
    if (this.#pool === undefined) return void this.perform(opcode.forwardTraining);
    const normalize = () => {
      this.perform(opcode.wideStatistics);
      this.perform(opcode.coefficients);
      return this.#overOuter(opcode.normalize);
    };
    this.perform(opcode.choosePivots);
    return after(this.#overOuter(opcode.moments), () => {
      if (!this.perform(opcode.batchStatistics)) return normalize();
      return after(this.#overOuter(opcode.moments), () => {
        this.perform(opcode.batchStatistics);
        return normalize();
      });
    });
  }

  /** y of given statistics. Errors: `DISPOSED`, before y is written. */
  forwardInference(): MaybePromise<void> {
    this.perform(opcode.coefficients);
    return this.#overOuter(opcode.normalize);
  }

  /** dgamma and dbeta, and dx through the batch statistics. Errors: `DISPOSED`, before dx is written. */
  backwardTraining(): MaybePromise<void> {
    return this.#backward(opcode.backwardTraining, () => {
      this.perform(opcode.gradientCoefficients);
      return this.#overOuter(opcode.inputGradient);
    });
  }

  /** The same, where the statistics were given. */
  backwardInference(): MaybePromise<void> {
    return this.#backward(opcode.backwardInference, () => this.scaledGradient());
  }

  /** dx alone, where the statistics were given. Errors: `DISPOSED`, before dx is written. */
  scaledGradient(): MaybePromise<void> {
    return this.#overOuter(opcode.scaledGradient);
  }

  #backward(whole: number, writeDx: () => MaybePromise<void>): MaybePromise<void> {
    if (!this.tiling.isChannelsLast) return this.#overChannels(whole);
    if (this.#pool === undefined) return void this.perform(whole);
    this.perform(opcode.clearSums);
    return after(this.#overOuter(opcode.gradientSums), () => {
      if (this.perform(opcode.parameterGradients)) this.perform(opcode.wideGradients, 0, this.tiling.outer);
      return writeDx();
    });
  }

  dispose(): void {
    this.job.dispose();
  }

  /** None for what writes over its own input: such a task could not be done again when its thread dies. */
  #poolFor(code: number): WorkerPool | undefined {
    const isSum = code === opcode.moments || code === opcode.gradientSums;
    return this.job.isInPlace && !isSum ? undefined : this.#pool;
  }

  #overChannels(code: number): MaybePromise<void> {
    const pool = this.#poolFor(code);
    if (pool === undefined) return void this.perform(code);
    const { channels } = this.tiling;
    return pool.parallelFor(this.job.address, code, channelsPerTask(channels, pool.tasks), channels);
  }

  /** Over all outer indices, in either layout. */
  #overOuter(code: number): MaybePromise<void> {
    const { isChannelsLast, outer, section } = this.tiling;
    const pool = this.#poolFor(code);
    if (pool === undefined) return void this.perform(code, 0, outer);
    const grain = isChannelsLast ? section : Math.ceil(outer / pool.tasks);
    return pool.parallelFor(this.job.address, code, grain, outer);
  }
}

/** `next` after `work`: at once if that is done. */
function after<T>(work: MaybePromise<void>, next: () => MaybePromise<T>): MaybePromise<T> {
  return work === undefined ? next() : Promise.resolve(work).then(next);
}
