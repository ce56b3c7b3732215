// What a forward keeps for its backward.
import type { CountedPositions, DeviceTensor, Extent, FloatArray, Saved, Statistics } from '@batchnorm/core-api';
import * as table from './abi/table.js';
import type { Allocation } from './allocation.js';
import type { LinearMemory } from './linear-memory.js';
import { bytesOfMask, writeMask } from './mask.js';
import { pitchOf } from './tiling.js';

/**
 * Tables per channel in linear memory (abi/table.ts), copies, so that parameters and running statistics may change; and
 * x: the caller's tensor or array and, of an array in other memory, perhaps a copy (host-arrays.ts). Of a residual it keeps nothing: what ReLU let pass has a bit in the
 * gate (assembly/gate.ts).
 */
export class SavedForward implements Saved, Statistics {
  /** The address of the tables. */
  readonly at: number;
  /** How many values of a channel the statistics are of. Not used where they were given. */
  M = 0;
  /** The address of x, or 0 where x is not in this memory. */
  x = 0;
  /** The address of the gate, or 0 without ReLU. */
  gate = 0;
  /** The address of the mask, or 0 where every position counts. */
  mask = 0;
  /** Whether a residual was added, so that there is a gradient of it. */
  hasResidual = false;
  /** The caller's x, which must live as long as this does. */
  source: FloatArray | DeviceTensor | undefined;
  readonly #memory: LinearMemory;
  readonly #tables: Allocation;
  readonly #extent: Extent;
  readonly #pitch: number;
  readonly #recycle: (saved: SavedForward) => void;
  #gate: Allocation | undefined;
  #mask: Allocation | undefined;
  #holders = 1;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, extent: Extent, recycle: (saved: SavedForward) => void) {
    this.#memory = memory;
    this.#extent = extent;
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

  /** Σ (x − mean)² of the batch, where kernels added it up. */
  get m2(): Float64Array {
    return this.#table(table.m2);
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

  liesIn(memory: LinearMemory): boolean {
    return this.#memory === memory;
  }

  /** Makes room for a gate of `bytes` bytes, which are the same in every call. Errors: `LIMIT_EXCEEDED`. */
  keepGate(bytes: number): void {
    if (bytes === 0) return;
    this.#gate ??= this.#memory.allocate(bytes);
    this.gate = this.#gate.at;
  }

  /** Copies `mask`, if there is one. Errors: `LIMIT_EXCEEDED`. */
  keepMask(mask: CountedPositions | undefined): void {
    if (mask === undefined) return;
    this.#mask ??= this.#memory.allocate(bytesOfMask(mask));
    this.mask = this.#mask.at;
    writeMask(this.#memory, this.mask, mask, this.#extent);
    this.M = mask.count;
  }

  /** One more has to release it. */
  hold(): this {
    this.#holders++;
    return this;
  }

  /** Lets go of it: when nobody holds it any more, the next forward of the same kernels may have it. */
  release(): void {
    this.#holders--;
    if (this.#holders > 0) return;
    this.#holders = 1;
    this.x = this.gate = this.mask = 0;
    this.hasResidual = false;
    this.source = undefined;
    this.#recycle(this);
  }

  dispose(): void {
    this.release();
  }

  free(): void {
    this.#tables.free();
    for (const one of [this.#gate, this.#mask]) one?.free();
  }

  #table(index: number): Float64Array {
    const begin = this.#indexOf(index);
    return this.#memory.float64.subarray(begin, begin + this.#extent.channels);
  }

  /** Copies without a view of the table, which would take longer to make than a small table to fill. */
  #write(index: number, values: Float64Array): void {
    this.#memory.float64.set(values, this.#indexOf(index));
  }

  #indexOf(index: number): number {
    return this.at / 8 + index * this.#pitch;
  }
}
