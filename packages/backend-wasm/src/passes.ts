// The passes for one plan: which opcodes in which order make a stage or an operation, and on which threads.
import type { MaybePromise, Plan } from '@batchnorm/core-api';
import type { KernelExports } from './abi/exports.js';
import * as opcode from './abi/opcode.js';
import { after } from './at-work.js';
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

  // Stages. Errors: `DISPOSED`, before any activation is written.

  /** Batch statistics of x. */
  moments(): MaybePromise<void> {
    if (!this.#sharesRows) return this.#overChannels(opcode.batchMoments);
    this.perform(opcode.choosePivots);
    return after(this.#overOuter(opcode.moments), () => {
      if (!this.perform(opcode.batchStatistics)) return this.#settle();
      return after(this.#overOuter(opcode.moments), () => {
        this.perform(opcode.correctStatistics);
        return this.#settle();
      });
    });
  }

  #settle(): void {
    this.perform(opcode.wideStatistics);
  }

  /** Coefficients of the statistics that are there, and y. */
  normalize(): MaybePromise<void> {
    this.perform(opcode.coefficients);
    return this.#overOuter(opcode.normalize);
  }

  /** dgamma and dbeta. */
  gradientSums(): MaybePromise<void> {
    if (!this.#sharesRows) return this.#overChannels(opcode.batchGradients);
    this.perform(opcode.clearSums);
    return after(this.#overOuter(opcode.gradientSums), () => {
      if (this.perform(opcode.parameterGradients)) this.perform(opcode.wideGradients, 0, this.tiling.outer);
    });
  }

  /** dx through the batch statistics, with the sums that are there: after `whenNotFinite`, which may fail, if they are not. */
  inputGradient(whenNotFinite?: () => void): MaybePromise<void> {
    if (this.perform(opcode.gradientCoefficients)) whenNotFinite?.();
    return this.#overOuter(opcode.inputGradient);
  }

  /** dx where the statistics were given. */
  scaledGradient(): MaybePromise<void> {
    return this.#overOuter(opcode.scaledGradient);
  }

  // Stages one after the other, panel by panel where nothing is shared row by row. Errors: `DISPOSED`, before any
  // activation is written.

  forwardTraining(): MaybePromise<void> {
    if (!this.#sharesRows) return this.#overChannels(opcode.forwardTraining);
    return after(this.moments(), () => this.normalize());
  }

  backwardTraining(): MaybePromise<void> {
    if (!this.#sharesRows) return this.#overChannels(opcode.backwardTraining);
    return after(this.gradientSums(), () => this.inputGradient());
  }

  backwardInference(): MaybePromise<void> {
    if (!this.#sharesRows) return this.#overChannels(opcode.backwardInference);
    return after(this.gradientSums(), () => this.scaledGradient());
  }

  dispose(): void {
    this.job.dispose();
  }

  /** Whether threads divide the rows among them, each of which has a value of every channel. */
  get #sharesRows(): boolean {
    return this.tiling.isChannelsLast && this.#pool !== undefined;
  }

  /** None for what writes over its own input: such a task could not be done again when its thread dies. */
  #poolFor(code: number): WorkerPool | undefined {
    return this.job.isInPlace && !sums.has(code) ? undefined : this.#pool;
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

/** What writes no activation. */
const sums = new Set<number>([opcode.moments, opcode.gradientSums, opcode.batchMoments, opcode.batchGradients]);
