// The passes for one plan: what the kernels in wasm are told, and whether other threads help.
import type { MaybePromise, Plan } from '@batchnorm/core-api';
import type { Crew } from './crew.js';
import { bytesPerElement } from './device-tensor.js';
import type { KernelMemory } from './memory.js';
import { pitchOf, type SavedForward } from './saved-forward.js';

/** What kernels export; see assembly/index.ts. */
export interface KernelExports {
  perform(job: number, operation: number, from: number, to: number): void;
}

/** Of assembly/index.ts. The first three are over channels, the others over outer indices where they say so. */
export const operations = {
  forwardTraining: 0,
  backwardTraining: 1,
  backwardInference: 2,
  beginMoments: 3,
  addMoments: 4,
  endMoments: 5,
  coefficients: 6,
  normalize: 7,
  beginGradients: 8,
  addGradients: 9,
  endGradients: 10,
  inputGradient: 11,
  scaledGradient: 12,
} as const;

/** Fields of a job, in int32; see assembly/job.ts. */
const field = {
  isDouble: 0,
  outer: 1,
  channels: 2,
  inner: 3,
  pitch: 4,
  panel: 5,
  x: 6,
  dy: 7,
  out: 8,
  saved: 9,
  sums: 10,
  dgamma: 11,
  dbeta: 12,
} as const;
/** The one in float64. */
const epsilonField = 7;
const jobBytes = 64;

/** Fewer elements than this are done before another thread is awake. */
const elementsWorthSharing = 65536;
/** Channels that share a task at least: their rows are runs of whole cache lines. */
const fewestChannels = 32;
/** What one panel of channels should have at most, to be still in cache when it is normalised. */
const panelBytes = 8 << 20;

/** What a call works on: addresses. */
export interface Operands {
  readonly saved: SavedForward;
  readonly x: number;
  readonly dy?: number;
  readonly out: number;
  readonly dgamma?: number;
  readonly dbeta?: number;
}

export class Passes {
  readonly #exports: KernelExports;
  readonly #crew: Crew | undefined;
  readonly #memory: KernelMemory;
  readonly #plan: Plan;
  readonly #job: number;
  readonly #sums: number;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: KernelMemory, exports: KernelExports, crew: Crew | undefined, plan: Plan) {
    const { outer, channels, inner } = plan.extent;
    const elements = outer * channels * inner;
    this.#exports = exports;
    this.#crew = elements < elementsWorthSharing ? undefined : crew;
    this.#memory = memory;
    this.#plan = plan;
    // Four tables of float64, and three of at most that.
    const sumsBytes = 7 * pitchOf(plan.extent) * 8;
    this.#job = memory.allocate(jobBytes + sumsBytes);
    this.#sums = this.#job + jobBytes;
    memory.int32.fill(0, this.#job / 4, (this.#sums + sumsBytes) / 4);
    this.#set(field.isDouble, plan.dtype === 'float64' ? 1 : 0);
    // One channel is one run, whatever its layout.
    const single = channels === 1;
    this.#set(field.outer, single ? 1 : outer);
    this.#set(field.channels, channels);
    this.#set(field.inner, single ? outer * inner : inner);
    const bytesPerChannel = (elements / channels) * bytesPerElement[plan.dtype];
    this.#set(field.panel, wholeLines(panelBytes / bytesPerChannel, fewestChannels));
    this.#set(field.pitch, pitchOf(plan.extent));
    this.#set(field.sums, this.#sums);
  }

  /** Whether calls are shared with other threads. */
  get isShared(): boolean {
    return this.#crew !== undefined;
  }

  /** Outer indices, as the kernels count them. */
  get outer(): number {
    return this.#plan.extent.channels === 1 ? 1 : this.#plan.extent.outer;
  }

  /** Says what the next calls are about. */
  aim({ saved, x, dy = 0, out, dgamma = 0, dbeta = 0 }: Operands): void {
    const job = this.#job / 4;
    const { int32 } = this.#memory;
    int32[job + field.x] = x;
    int32[job + field.dy] = dy;
    int32[job + field.out] = out;
    int32[job + field.saved] = saved.at;
    int32[job + field.dgamma] = dgamma;
    int32[job + field.dbeta] = dbeta;
  }

  set epsilon(value: number) {
    this.#memory.float64[this.#job / 8 + epsilonField] = value;
  }

  /** Performs an operation over [from, to) on this thread. */
  perform(operation: number, from: number, to: number): void {
    this.#exports.perform(this.#job, operation, from, to);
  }

  /** Performs a whole operation over all channels, with the help of the other threads where that pays. */
  overChannels(operation: number): MaybePromise<void> {
    const { channels } = this.#plan.extent;
    if (this.#crew === undefined) return this.perform(operation, 0, channels);
    return this.#crew.share(this.#job, operation, wholeLines(channels / this.#crew.tasks, fewestChannels), channels);
  }

  /** Performs a pass over all outer indices, with the help of the other threads where that pays. */
  overOuter(operation: number): MaybePromise<void> {
    if (this.#crew === undefined) return this.perform(operation, 0, this.outer);
    return this.#crew.share(this.#job, operation, Math.ceil(this.outer / this.#crew.tasks), this.outer);
  }

  dispose(): void {
    this.#memory.free(this.#job);
  }

  #set(name: number, value: number): void {
    this.#memory.int32[this.#job / 4 + name] = value;
  }
}

/** `channels`, but no fewer than `fewest`, and whole cache lines of float32. */
function wholeLines(channels: number, fewest: number): number {
  return Math.max(fewest, Math.ceil(channels / 16) * 16);
}
