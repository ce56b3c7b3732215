// The passes for one plan: what the kernels in wasm are told, and whether other threads help.
import type { MaybePromise, Plan } from '@batchnorm/core-api';
import type { Allocation } from './allocation.js';
import type { Crew } from './crew.js';
import { bytesPerElement } from './device-tensor.js';
import type { KernelMemory } from './memory.js';
import { pitchOf, type SavedForward } from './saved-forward.js';

/** What kernels export; see assembly/index.ts. */
export interface KernelExports {
  perform(job: number, operation: number, from: number, to: number): number;
}

/** Of assembly/index.ts: over channels, or over outer indices (`add…`, `normalize`, `…Gradient`). */
export const operations = {
  forwardTraining: 0,
  backwardTraining: 1,
  backwardInference: 2,
  choosePivots: 3,
  addMoments: 4,
  endMoments: 5,
  settleMoments: 6,
  coefficients: 7,
  normalize: 8,
  addGradients: 9,
  beginGradients: 10,
  endGradients: 11,
  addWideGradients: 12,
  gradientCoefficients: 13,
  inputGradient: 14,
  scaledGradient: 15,
} as const;

/** Fields of a job, in int32; see assembly/job.ts. */
const field = {
  isDouble: 0,
  outer: 1,
  channels: 2,
  inner: 3,
  pitch: 4,
  panel: 5,
  section: 6,
  sections: 7,
  x: 8,
  dy: 9,
  out: 10,
  saved: 11,
  sums: 12,
  dgamma: 13,
  dbeta: 14,
  place: 15,
} as const;
/** The one in float64. */
const epsilonField = 8;
const jobBytes = 128;

/** Fewer elements than this are done before another thread is awake. */
const elementsWorthSharing = 65536;
/** Of rows that are shared: a section is what a thread takes, and has sums of its own. */
const [manySections, leastRows] = [8, 256];
/** Of rows whose sums are taken in eight places: how long one is, and how long a row must be for that. Short rows are one stream. */
const [bytesOfPlace, bytesOfLongRow] = [64 << 10, 1 << 10];
/** Bytes of runs that go through all passes together: then the second pass finds them in cache. */
const panelBytes = 512 << 10;

/** What a call works on: addresses. */
export interface Operands {
  readonly saved: SavedForward;
  readonly x: number;
  readonly dy?: number;
  readonly out: number;
}

export class Passes {
  readonly #exports: KernelExports;
  readonly #crew: Crew | undefined;
  readonly #memory: KernelMemory;
  readonly #allocation: Allocation;
  readonly #job: number;
  readonly #channels: number;
  /** Outer indices, as the kernels count them. */
  readonly outer: number;
  /** So many of them are added up together: what comes in parts comes in multiples of this. */
  readonly together: number;
  readonly #isRows: boolean;
  readonly #section: number;
  /** Channels of runs that a thread takes. */
  readonly #share: number;
  #isInPlace = false;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: KernelMemory, exports: KernelExports, crew: Crew | undefined, { extent, dtype }: Plan) {
    const { outer, channels, inner } = extent;
    const elements = outer * channels * inner;
    const isWorthSharing = elements >= elementsWorthSharing;
    this.#exports = exports;
    this.#crew = isWorthSharing ? crew : undefined;
    this.#memory = memory;
    this.#channels = channels;
    // One channel is one run, whatever its layout.
    this.outer = channels === 1 ? 1 : outer;
    this.#isRows = inner === 1 && channels > 1;
    const bytesPerRow = (elements / this.outer) * bytesPerElement[dtype];
    // Odd: places a power of two apart would compete for the same sets of the cache.
    const place = bytesPerRow < bytesOfLongRow ? 1 : Math.max(1, Math.floor(bytesOfPlace / bytesPerRow) - 1) | 1;
    this.together = this.#isRows ? 8 * place : 1;
    // Sections are the same without threads, and so are the bits.
    const groups = Math.max(1, Math.floor(Math.max(leastRows, outer / manySections) / this.together));
    this.#section = isWorthSharing && this.#isRows ? groups * this.together : this.outer;
    this.#share = Math.ceil(channels / (crew?.tasks ?? 1) / 16) * 16;
    const sections = Math.ceil(this.outer / this.#section);
    const pitch = pitchOf(extent);
    // Two tables for a section, four of float64, three of at most that, and one of int32.
    const sumsBytes = ((dtype === 'float64' ? 4 : 2) * sections + 3) * pitch * 8 + pitch * 4;
    this.#allocation = memory.allocate(jobBytes + sumsBytes);
    this.#job = this.#allocation.at;
    const end = this.#job + jobBytes + sumsBytes;
    memory.int32.fill(0, this.#job / 4, end / 4);
    const bytesPerChannel = (elements / channels) * bytesPerElement[dtype];
    const fields = {
      isDouble: dtype === 'float64' ? 1 : 0,
      outer: this.outer,
      channels,
      inner: channels === 1 ? outer * inner : inner,
      pitch,
      panel: this.#isRows ? channels : multipleOf(2, panelBytes / bytesPerChannel - 1),
      section: this.#section,
      sections,
      sums: this.#job + jobBytes,
      place,
    } as const;
    for (const [name, value] of Object.entries(fields)) {
      memory.int32[this.#job / 4 + field[name as keyof typeof fields]] = value;
    }
  }

  /** Says what the next calls are about. */
  aim({ saved, x, dy = 0, out }: Operands): void {
    const job = this.#job / 4;
    const { int32 } = this.#memory;
    this.#isInPlace = out === x || out === dy;
    int32[job + field.x] = x;
    int32[job + field.dy] = dy;
    int32[job + field.out] = out;
    int32[job + field.saved] = saved.at;
  }

  /** Says where the sums of the next backward go. */
  aimGradients(dgamma: number, dbeta: number): void {
    const job = this.#job / 4;
    const { int32 } = this.#memory;
    int32[job + field.dgamma] = dgamma;
    int32[job + field.dbeta] = dbeta;
  }

  set epsilon(value: number) {
    this.#memory.float64[this.#job / 8 + epsilonField] = value;
  }

  /** Performs an operation on this thread: over [from, to), or over all channels. Whether there is more to do. */
  perform(operation: number, from = 0, to: number = this.#channels): boolean {
    return this.#exports.perform(this.#job, operation, from, to) !== 0;
  }

  /** Batch statistics of x, coefficients, and y. Errors: `DISPOSED`, before y is written. */
  forwardTraining(): MaybePromise<void> {
    if (!this.#isRows) return this.#overChannels(operations.forwardTraining);
    if (this.#crew === undefined) return void this.perform(operations.forwardTraining);
    const normalize = () => {
      this.perform(operations.settleMoments);
      this.perform(operations.coefficients);
      return this.#overRows(operations.normalize);
    };
    this.perform(operations.choosePivots);
    return after(this.#overRows(operations.addMoments), () => {
      if (!this.perform(operations.endMoments)) return normalize();
      return after(this.#overRows(operations.addMoments), () => {
        this.perform(operations.endMoments);
        return normalize();
      });
    });
  }

  /** y of given statistics. Errors: `DISPOSED`, before y is written. */
  forwardInference(): MaybePromise<void> {
    this.perform(operations.coefficients);
    return this.#overRows(operations.normalize);
  }

  /** dgamma and dbeta, and dx through the batch statistics. Errors: `DISPOSED`, before dx is written. */
  backwardTraining(): MaybePromise<void> {
    return this.#backward(operations.backwardTraining, () => {
      this.perform(operations.gradientCoefficients);
      return this.#overRows(operations.inputGradient);
    });
  }

  /** The same beside given statistics. */
  backwardInference(): MaybePromise<void> {
    return this.#backward(operations.backwardInference, () => this.scaledGradient());
  }

  /** dx alone, beside given statistics. Errors: `DISPOSED`, before dx is written. */
  scaledGradient(): MaybePromise<void> {
    return this.#overRows(operations.scaledGradient);
  }

  #backward(whole: number, writeDx: () => MaybePromise<void>): MaybePromise<void> {
    if (!this.#isRows) return this.#overChannels(whole);
    if (this.#crew === undefined) return void this.perform(whole);
    this.perform(operations.beginGradients);
    return after(this.#overRows(operations.addGradients), () => {
      if (this.perform(operations.endGradients)) this.perform(operations.addWideGradients, 0, this.outer);
      return writeDx();
    });
  }

  dispose(): void {
    this.#allocation.free();
  }

  /** A task that writes over its own input could not be done again. */
  #crewFor(operation: number): Crew | undefined {
    const isSum = operation === operations.addMoments || operation === operations.addGradients;
    return this.#isInPlace && !isSum ? undefined : this.#crew;
  }

  #overChannels(operation: number): MaybePromise<void> {
    const crew = this.#crewFor(operation);
    if (crew === undefined) return void this.perform(operation);
    return crew.share(this.#job, operation, this.#share, this.#channels);
  }

  /** Over all outer indices; those of runs, too. */
  #overRows(operation: number): MaybePromise<void> {
    const crew = this.#crewFor(operation);
    if (crew === undefined) return void this.perform(operation, 0, this.outer);
    const unit = this.#isRows ? this.#section : Math.ceil(this.outer / crew.tasks);
    return crew.share(this.#job, operation, unit, this.outer);
  }
}

/** The least multiple of `step` that is at least `value`, and not 0. */
function multipleOf(step: number, value: number): number {
  return Math.max(1, Math.ceil(value / step)) * step;
}

/** `next` of work that is done, at once or later. */
export function after<T>(work: MaybePromise<void>, next: () => MaybePromise<T>): MaybePromise<T> {
  return work === undefined ? next() : Promise.resolve(work).then(next);
}
