// What a forward keeps for its backward.
import type { DeviceTensor, Extent, FloatArray, Saved, Statistics } from '@batchnorm/core-api';
import * as table from './abi/table.js';
import type { Allocation } from './allocation.js';
import type { LinearMemory } from './linear-memory.js';
import { pitchOf } from './tiling.js';

/**
 * Tables per channel in wasm memory, in the order of assembly/tables.ts; copies, so that parameters and running statistics
 * may change. x is where it was: on the device by reference; of a host array that a training forward was given, in the copy
 * that was made of it anyway; of one in inference, by reference.
 */
export class SavedForward implements Saved, Statistics {
  /** The address of the tables. */
  readonly at: number;
  /** The address of x, or of nothing. */
  x = 0;
  /** x that is elsewhere, so that it is not lost: an array on the host, or a tensor in this memory. */
  source: FloatArray | DeviceTensor | undefined;
  readonly #memory: LinearMemory;
  readonly #tables: Allocation;
  readonly #channels: number;
  readonly #pitch: number;
  readonly #recycle: (saved: SavedForward) => void;
  #copy: Allocation | undefined;
  #holders = 1;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, extent: Extent, recycle: (saved: SavedForward) => void) {
    this.#memory = memory;
    this.#channels = extent.channels;
    this.#pitch = pitchOf(extent);
    this.#recycle = recycle;
    const bytes = table.wide * this.#pitch * 8 + this.#pitch * 4;
    this.#tables = memory.allocate(bytes);
    this.at = this.#tables.at;
    memory.int32.fill(0, this.at / 4, (this.at + bytes) / 4);
  }

  get mean(): Float64Array {
    return this.#table(table.mean);
  }

  /** Population variance. */
  get variance(): Float64Array {
    return this.#table(table.variance);
  }

  set gamma(values: Float64Array) {
    this.#write(table.gamma, values);
  }

  set beta(values: Float64Array) {
    this.#write(table.beta, values);
  }

  set mean(values: Float64Array) {
    this.#write(table.mean, values);
  }

  set variance(values: Float64Array) {
    this.#write(table.variance, values);
  }

  /** A place for a copy of x, of `bytes` at most, always as many. Errors: `LIMIT_EXCEEDED`. */
  copyOfX(bytes: number): number {
    this.#copy ??= this.#memory.allocate(bytes);
    return this.#copy.at;
  }

  hold(): void {
    this.#holders++;
  }

  /** When nobody holds it any more, another forward of the same kernels may have it. */
  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.#holders = 1;
    this.x = 0;
    this.source = undefined;
    this.#recycle(this);
  }

  dispose(): void {
    this.release();
  }

  free(): void {
    this.#tables.free();
    this.#copy?.free();
  }

  #table(index: number): Float64Array {
    const begin = this.#indexOf(index);
    return this.#memory.float64.subarray(begin, begin + this.#channels);
  }

  /** Copies: a view of a table takes longer to make than a small one to fill. */
  #write(index: number, values: Float64Array): void {
    this.#memory.float64.set(values, this.#indexOf(index));
  }

  #indexOf(table: number): number {
    return this.at / 8 + table * this.#pitch;
  }
}
