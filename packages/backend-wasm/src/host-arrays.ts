// Passes over host arrays: tile by tile, each copied into linear memory, worked on and copied out while it is in cache.
// All of it on the calling thread, the only one that can copy them: by the time others could help, a tile has left the
// cache (docs/performance.md).
import type { FloatArray, Plan } from '@batchnorm/core-api';
import { samples } from './abi/accumulation.js';
import * as opcode from './abi/opcode.js';
import type { Allocation } from './allocation.js';
import type { Job, Operands } from './job.js';
import { bytesPerElement, type LinearMemory } from './linear-memory.js';
import type { Passes } from './passes.js';
import type { SavedForward } from './saved-forward.js';

/** Bytes of a tile, where its rows let it be as small: a quarter of a usual L2 cache. */
const tileBytes = 256 << 10;

/** The outer indices [first, last) of a tile, which are the elements [begin, end). */
type VisitTile = (first: number, last: number, begin: number, end: number) => void;

export class HostArrayPasses {
  readonly #memory: LinearMemory;
  readonly #passes: Passes;
  readonly #job: Job;
  readonly #plan: Plan;
  readonly #outer: number;
  readonly #elements: number;
  /** Elements of an outer index. */
  readonly #rowElements: number;
  /** Outer indices of a tile; the last one may have fewer. */
  readonly #tileRows: number;
  /** dgamma and dbeta of the latest backward, and their addresses. */
  readonly #gradients: Allocation;
  readonly #dgamma: number;
  readonly #dbeta: number;
  /** Two tiles, and a copy of dy; allocated when they are first needed. */
  #tiles: Allocation | undefined;
  #dy: Allocation | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, passes: Passes, plan: Plan) {
    const { outer, channels, inner, pitch, rowAlignment } = passes.tiling;
    this.#memory = memory;
    this.#passes = passes;
    this.#job = passes.job;
    this.#plan = plan;
    this.#outer = outer;
    this.#elements = outer * channels * inner;
    this.#rowElements = channels * inner;
    const rows = Math.floor(tileBytes / this.#bytes(this.#rowElements));
    this.#tileRows = Math.min(outer, Math.max(rowAlignment, Math.floor(rows / rowAlignment) * rowAlignment));
    this.#gradients = memory.allocate(2 * pitch * 8);
    this.#dgamma = this.#gradients.at;
    this.#dbeta = this.#dgamma + pitch * 8;
  }

  /**
   * The first half of a training forward: statistics and coefficients of x, and a copy of x, into `saved`. Whether all
   * statistics are finite. Errors: `LIMIT_EXCEEDED`.
   */
  batchStatistics(saved: SavedForward, x: FloatArray): boolean {
    saved.x = saved.copyOfX(this.#bytes(this.#elements));
    this.#job.bind({ saved, x: saved.x, out: 0 });
    this.#copySamples(x, saved.x);
    this.#passes.perform(opcode.choosePivots);
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(x, begin, end, saved.x + this.#bytes(begin));
      this.#passes.perform(opcode.moments, first, last);
    });
    if (this.#passes.perform(opcode.batchStatistics)) {
      this.#passes.perform(opcode.moments, 0, this.#outer);
      this.#passes.perform(opcode.batchStatistics);
    }
    const areFinite = !this.#passes.perform(opcode.wideStatistics);
    this.#passes.perform(opcode.coefficients);
    return areFinite;
  }

  /** The second half of a training forward: y. */
  normalize(saved: SavedForward, y: FloatArray): void {
    this.#writeTiles(y, (out) => ({ saved, x: saved.x, out }), opcode.normalize);
  }

  /** A forward with the statistics of `saved`, from x to y. Errors: `LIMIT_EXCEEDED`. */
  forwardInference(saved: SavedForward, x: FloatArray, y: FloatArray): void {
    saved.source = x;
    this.#job.bind({ saved, x: 0, out: 0 });
    this.#passes.perform(opcode.coefficients);
    const tile = this.#tileAddress();
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(x, begin, end, tile);
      const origin = this.#origin(tile, begin);
      this.#job.bind({ saved, x: origin, out: origin });
      this.#passes.perform(opcode.normalize, first, last);
      this.#copyOut(tile, y, begin, end);
    });
  }

  /**
   * The first half of a training backward: dgamma, dbeta, and a copy of dy. Whether all gradients are finite. Errors:
   * `LIMIT_EXCEEDED`.
   */
  parameterGradients(saved: SavedForward, dy: FloatArray): boolean {
    const copy = this.#dyAddress();
    this.#job.bind({ saved, x: saved.x, dy: copy, out: 0 });
    this.#clearGradients();
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(dy, begin, end, copy + this.#bytes(begin));
      this.#passes.perform(opcode.gradientSums, first, last);
    });
    if (this.#passes.perform(opcode.parameterGradients)) this.#passes.perform(opcode.wideGradients, 0, this.#outer);
    return !this.#passes.perform(opcode.gradientCoefficients);
  }

  /** The second half of a training backward: dx. */
  inputGradient(saved: SavedForward, dx: FloatArray): void {
    const dy = this.#dyAddress();
    this.#writeTiles(dx, (out) => ({ saved, x: saved.x, dy, out }), opcode.inputGradient);
  }

  /**
   * The backward of a forward with given statistics. dx needs no sums here, so that each tile is read once and written
   * at once; but not where dx lies over dy, which may have to be added up once more. Errors: `LIMIT_EXCEEDED`.
   */
  backwardInference(saved: SavedForward, dy: FloatArray, dx: FloatArray, parameterGradients: boolean): void {
    if (!parameterGradients) {
      this.#eachGradientTile(saved, dy, [opcode.scaledGradient], dx);
      return;
    }
    const isInPlace = dx.buffer === dy.buffer;
    this.#clearGradients();
    if (isInPlace) this.#eachGradientTile(saved, dy, [opcode.gradientSums]);
    else this.#eachGradientTile(saved, dy, [opcode.gradientSums, opcode.scaledGradient], dx);
    const hasWide = this.#passes.perform(opcode.parameterGradients);
    if (hasWide) this.#eachGradientTile(saved, dy, [opcode.wideGradients]);
    if (isInPlace) this.#eachGradientTile(saved, dy, [opcode.scaledGradient], dx);
  }

  /** dgamma and dbeta of the latest backward, until memory grows. */
  get gradients(): { readonly dgamma: Float64Array; readonly dbeta: Float64Array } {
    const { float64 } = this.#memory;
    const { channels } = this.#plan.extent;
    const [dgamma, dbeta] = [this.#dgamma / 8, this.#dbeta / 8];
    return { dgamma: float64.subarray(dgamma, dgamma + channels), dbeta: float64.subarray(dbeta, dbeta + channels) };
  }

  dispose(): void {
    for (const allocation of [this.#gradients, this.#tiles, this.#dy]) allocation?.free();
  }

  #clearGradients(): void {
    this.#job.bindGradients(this.#dgamma, this.#dbeta);
    this.#passes.perform(opcode.clearSums);
  }

  /** Performs `codes` on each tile of dy, and of x where they add up; the last of them may write dx. */
  #eachGradientTile(saved: SavedForward, dy: FloatArray, codes: readonly number[], dx?: FloatArray): void {
    const dyTile = this.#tileAddress();
    const xTile = dyTile + this.#bytes(this.#tileRows * this.#rowElements);
    const x = codes[0] === opcode.scaledGradient ? undefined : (saved.source as FloatArray);
    this.#eachTile((first, last, begin, end) => {
      if (x !== undefined) this.#copyIn(x, begin, end, xTile);
      this.#copyIn(dy, begin, end, dyTile);
      const origin = this.#origin(dyTile, begin);
      this.#job.bind({ saved, x: this.#origin(xTile, begin), dy: origin, out: origin });
      for (const code of codes) this.#passes.perform(code, first, last);
      if (dx !== undefined) this.#copyOut(dyTile, dx, begin, end);
    });
  }

  /**
   * Performs `code` tile by tile, and copies what it writes to `to`. `operandsFor` says what it works on if it writes
   * to `out`.
   */
  #writeTiles(to: FloatArray, operandsFor: (out: number) => Operands, code: number): void {
    const tile = this.#tileAddress();
    this.#eachTile((first, last, begin, end) => {
      this.#job.bind(operandsFor(this.#origin(tile, begin)));
      this.#passes.perform(code, first, last);
      this.#copyOut(tile, to, begin, end);
    });
  }

  /** Copies the values that pivots are chosen from (assembly/per-channel.ts) to where they are in the copy of x. */
  #copySamples(x: FloatArray, copy: number): void {
    const { outer, channels, inner } = this.#plan.extent;
    const to = this.#memoryElements.subarray(this.#indexOf(copy));
    const M = outer * inner;
    const count = Math.min(samples, M);
    const step = Math.max(1, Math.floor(M / (count + 1)));
    for (let j = 0; j < count * step; j += step) {
      const first = Math.floor(j / inner) * channels * inner + (j % inner);
      for (let k = first, n = 0; n < channels; n++, k += inner) to[k] = x[k]!;
    }
  }

  #eachTile(visit: VisitTile): void {
    for (let first = 0; first < this.#outer; first += this.#tileRows) {
      const last = Math.min(first + this.#tileRows, this.#outer);
      visit(first, last, first * this.#rowElements, last * this.#rowElements);
    }
  }

  #copyIn(from: FloatArray, begin: number, end: number, to: number): void {
    const isAll = begin === 0 && end === from.length;
    this.#memoryElements.set(isAll ? from : from.subarray(begin, end), this.#indexOf(to));
  }

  #copyOut(from: number, to: FloatArray, begin: number, end: number): void {
    const first = this.#indexOf(from);
    to.set(this.#memoryElements.subarray(first, first + end - begin), begin);
  }

  /**
   * The address of element 0, if element `begin` is at `tile`: kernels count elements from the first of an activation.
   */
  #origin(tile: number, begin: number): number {
    return tile - this.#bytes(begin);
  }

  /** The address of two tiles. */
  #tileAddress(): number {
    this.#tiles ??= this.#memory.allocate(2 * this.#bytes(this.#tileRows * this.#rowElements));
    return this.#tiles.at;
  }

  /** The address of the copy of dy. */
  #dyAddress(): number {
    this.#dy ??= this.#memory.allocate(this.#bytes(this.#elements));
    return this.#dy.at;
  }

  get #memoryElements(): FloatArray {
    return this.#memory.elements(this.#plan.dtype);
  }

  #indexOf(address: number): number {
    return address / bytesPerElement[this.#plan.dtype];
  }

  #bytes(elements: number): number {
    return elements * bytesPerElement[this.#plan.dtype];
  }
}
