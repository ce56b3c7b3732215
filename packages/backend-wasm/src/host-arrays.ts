// Passes over host arrays: tile by tile, each copied into linear memory, worked on and copied out while it is in cache.
// All of it on the calling thread, the only one that can copy them: by the time others could help, a tile has left the
// cache (docs/performance.md).
import type { CountedPositions, FloatArray, GradientSums, Plan } from '@batchnorm/core-api';
import * as opcode from './abi/opcode.js';
import type { Allocation } from './allocation.js';
import { WasmSums } from './device-tensor.js';
import type { Job } from './job.js';
import { bytesPerElement, type LinearMemory } from './linear-memory.js';
import { sampledPositions } from './mask.js';
import type { Passes } from './passes.js';
import type { SavedForward } from './saved-forward.js';
import type { Sums } from './sums.js';

/** Bytes of a tile, where its rows let it be as small: a quarter of a usual L2 cache. */
const tileBytes = 256 << 10;

/** The outer indices [first, last) of a tile, which are the elements [begin, end). */
type VisitTile = (first: number, last: number, begin: number, end: number) => void;

/** What a backward writes besides vectors. */
export interface Gradients {
  readonly dx: FloatArray;
  readonly dresidual?: FloatArray | undefined;
}

export class HostArrayPasses {
  readonly #memory: LinearMemory;
  readonly #passes: Passes;
  readonly #job: Job;
  readonly #plan: Plan;
  readonly #outer: number;
  readonly #elements: number;
  /** Elements of an outer index. */
  readonly #rowElements: number;
  /** Where the values of a batch without a mask are sampled. */
  readonly #samples: readonly number[];
  /** Outer indices of a tile; the last one may have fewer. */
  readonly #tileRows: number;
  /** Of the latest gradient. */
  readonly #sums: WasmSums;
  /** Two tiles, and copies of x and dy; allocated when they are first needed. */
  #tiles: Allocation | undefined;
  #x: Allocation | undefined;
  #dy: Allocation | undefined;
  /**
   * Whose x the copy is of. There is one, because two that training steps alternate between would not stay in cache: a
   * backward that comes later than another forward brings its x again.
   */
  #holder: SavedForward | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, passes: Passes, plan: Plan) {
    const { outer, channels, inner, rowAlignment } = passes.tiling;
    this.#memory = memory;
    this.#passes = passes;
    this.#job = passes.job;
    this.#plan = plan;
    this.#outer = outer;
    this.#elements = outer * channels * inner;
    this.#rowElements = channels * inner;
    this.#samples = sampledPositions(plan.extent, undefined);
    const rows = Math.floor(tileBytes / this.#bytes(this.#rowElements));
    this.#tileRows = Math.min(outer, Math.max(rowAlignment, Math.floor(rows / rowAlignment) * rowAlignment));
    this.#sums = new WasmSums(memory, plan.extent);
  }

  /**
   * The moments of x, of what counts by the mask that `saved` has a copy of, and a copy of x, into `saved`. Errors:
   * `LIMIT_EXCEEDED`.
   */
  moments(saved: SavedForward, x: FloatArray, mask: CountedPositions | undefined): void {
    this.#holdCopy(saved, x);
    this.#job.bind({ saved, x: saved.x, out: 0 });
    this.#copySamples(x, saved.x, mask);
    this.#passes.perform(opcode.choosePivots);
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(x, begin, end, saved.x + this.#bytes(begin));
      this.#passes.perform(opcode.moments, first, last);
    });
    if (this.#passes.perform(opcode.batchStatistics)) {
      this.#passes.perform(opcode.moments, 0, this.#outer);
      this.#passes.perform(opcode.correctStatistics);
    }
    this.#passes.perform(opcode.wideStatistics);
  }

  /** y of x by the moments in `saved`, which keeps a copy of x for the backward. Errors: `LIMIT_EXCEEDED`. */
  copyAndNormalize(saved: SavedForward, x: FloatArray, residual: FloatArray | undefined, y: FloatArray): void {
    this.#holdCopy(saved, x);
    this.#job.bind({ saved, x: saved.x, out: 0 });
    this.#copyIn(x, 0, this.#elements, saved.x);
    this.normalize(saved, residual, y);
  }

  /** Copies the x of a forward again, where the copy is of another's now. Errors: `LIMIT_EXCEEDED`. */
  bringX(saved: SavedForward): void {
    if (saved.x !== 0) return;
    const x = saved.source as FloatArray;
    this.#holdCopy(saved, x);
    this.#copyIn(x, 0, this.#elements, saved.x);
  }

  /** y of the latest x that was copied. Errors: `LIMIT_EXCEEDED`. */
  normalize(saved: SavedForward, residual: FloatArray | undefined, y: FloatArray): void {
    this.#passes.perform(opcode.coefficients);
    const tile = this.#tileAddress();
    this.#eachTile((first, last, begin, end) => {
      const out = this.#origin(tile, begin);
      if (residual) this.#copyIn(residual, begin, end, tile);
      this.#job.bind({ saved, x: saved.x, residual: residual && out, out });
      this.#passes.perform(opcode.normalize, first, last);
      this.#copyOut(tile, y, begin, end);
    });
  }

  /** y of x by the statistics in `saved`, which refers to x. Errors: `LIMIT_EXCEEDED`. */
  forwardInference(saved: SavedForward, x: FloatArray, residual: FloatArray | undefined, y: FloatArray): void {
    saved.source = x;
    this.#job.bind({ saved, x: 0, out: 0 });
    this.#passes.perform(opcode.coefficients);
    const tile = this.#tileAddress();
    const residualTile = this.#secondTile;
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(x, begin, end, tile);
      if (residual) this.#copyIn(residual, begin, end, residualTile);
      const origin = this.#origin(tile, begin);
      this.#job.bind({ saved, x: origin, residual: residual && this.#origin(residualTile, begin), out: origin });
      this.#passes.perform(opcode.normalize, first, last);
      this.#copyOut(tile, y, begin, end);
    });
  }

  /** dgamma and dbeta, and a copy of dy after a forward that has one of x. Errors: `LIMIT_EXCEEDED`. */
  gradientSums(saved: SavedForward, dy: FloatArray): void {
    if (saved.x === 0) {
      this.#clearGradients();
      this.#eachGradientTile(saved, dy, [opcode.gradientSums]);
      this.#closeGradients(saved, dy);
      return;
    }
    const copy = this.#dyAddress();
    this.#job.bind({ saved, x: saved.x, dy: copy, out: 0 });
    this.#clearGradients();
    this.#eachTile((first, last, begin, end) => {
      this.#copyIn(dy, begin, end, copy + this.#bytes(begin));
      this.#passes.perform(opcode.gradientSums, first, last);
    });
    if (this.#passes.perform(opcode.parameterGradients)) this.#passes.perform(opcode.wideGradients, 0, this.#outer);
  }

  /** Has the next `gradientCoefficients` be those of `total`. */
  bindTotal(saved: SavedForward, total: GradientSums): void {
    this.#job.bind({ saved, x: saved.x, out: 0 });
    this.#job.bindTotal(total, saved.M);
  }

  /** Coefficients of dx. Whether all sums that they are made of are finite. */
  gradientCoefficients(): boolean {
    return !this.#passes.perform(opcode.gradientCoefficients);
  }

  /** dx and dresidual of the dy that `gradientSums` copied, which becomes g. Errors: `LIMIT_EXCEEDED`. */
  inputGradient(saved: SavedForward, { dx, dresidual }: Gradients): void {
    const dy = this.#dyAddress();
    const tile = this.#tileAddress();
    this.#eachTile((first, last, begin, end) => {
      this.#job.bind({ saved, x: saved.x, dy, dresidual: dresidual && dy, out: this.#origin(tile, begin) });
      this.#passes.perform(opcode.inputGradient, first, last);
      this.#copyOut(tile, dx, begin, end);
      if (dresidual) this.#copyOut(dy + this.#bytes(begin), dresidual, begin, end);
    });
  }

  /** dx and dresidual of any dy. Errors: `LIMIT_EXCEEDED`. */
  copiedInputGradient(saved: SavedForward, dy: FloatArray, gradients: Gradients): void {
    this.#eachGradientTile(saved, dy, [opcode.inputGradient], gradients);
  }

  /** The same where the statistics were given. Errors: `LIMIT_EXCEEDED`. */
  scaledGradient(saved: SavedForward, dy: FloatArray, gradients: Gradients): void {
    this.#eachGradientTile(saved, dy, [opcode.scaledGradient], gradients);
  }

  /**
   * The backward of a forward with given statistics. dx needs no sums here, so that each tile is read once and written
   * at once; but not where dx lies over dy, which may have to be added up once more. Errors: `LIMIT_EXCEEDED`.
   */
  backwardInference(saved: SavedForward, dy: FloatArray, gradients: Gradients): void {
    if (gradients.dx.buffer === dy.buffer) {
      this.gradientSums(saved, dy);
      this.scaledGradient(saved, dy, gradients);
      return;
    }
    this.#clearGradients();
    this.#eachGradientTile(saved, dy, [opcode.gradientSums, opcode.scaledGradient], gradients);
    this.#closeGradients(saved, dy);
  }

  /** Of the latest gradient, until memory grows. */
  get sums(): Sums {
    return this.#sums.view();
  }

  /** The same for those who only read them. */
  get gradients(): GradientSums {
    return this.#sums.gradients;
  }

  dispose(): void {
    for (const one of [this.#tiles, this.#x, this.#dy]) one?.free();
    this.#sums.dispose();
  }

  /** Has `saved` hold the copy, which is to be one of this x. Errors: `LIMIT_EXCEEDED`. */
  #holdCopy(saved: SavedForward, x: FloatArray): void {
    this.#x ??= this.#memory.allocate(this.#bytes(this.#elements));
    const { at } = this.#x;
    if (this.#holder?.x === at) this.#holder.x = 0;
    this.#holder = saved;
    saved.x = at;
    saved.source = x;
  }

  #clearGradients(): void {
    this.#sums.bindTo(this.#job);
    this.#passes.perform(opcode.clearSums);
  }

  /** dgamma and dbeta, when all tiles have been added up. */
  #closeGradients(saved: SavedForward, dy: FloatArray): void {
    const hasWide = this.#passes.perform(opcode.parameterGradients);
    if (hasWide) this.#eachGradientTile(saved, dy, [opcode.wideGradients]);
  }

  /**
   * Performs `codes` on each tile of dy, and of x where they read it and there is no copy of it; the last of them may
   * write gradients. It does not read the tile of x, which is there to receive dresidual.
   */
  #eachGradientTile(saved: SavedForward, dy: FloatArray, codes: readonly number[], gradients?: Gradients): void {
    const dyTile = this.#tileAddress();
    const xTile = this.#secondTile;
    const { dx, dresidual } = gradients ?? {};
    const hasCopy = saved.x !== 0;
    const source = hasCopy || codes[0] === opcode.scaledGradient ? undefined : (saved.source as FloatArray);
    this.#eachTile((first, last, begin, end) => {
      if (source) this.#copyIn(source, begin, end, xTile);
      this.#copyIn(dy, begin, end, dyTile);
      const [origin, second] = [this.#origin(dyTile, begin), this.#origin(xTile, begin)];
      const x = hasCopy ? saved.x : second;
      this.#job.bind({ saved, x, dy: origin, dresidual: dresidual && second, out: origin });
      for (const code of codes) this.#passes.perform(code, first, last);
      if (dx) this.#copyOut(dyTile, dx, begin, end);
      if (dresidual) this.#copyOut(xTile, dresidual, begin, end);
    });
  }

  /** Copies the values that pivots are chosen from (assembly/per-channel.ts) to where they are in the copy of x. */
  #copySamples(x: FloatArray, copy: number, mask: CountedPositions | undefined): void {
    const { channels, inner } = this.#plan.extent;
    const to = this.#memoryElements.subarray(this.#indexOf(copy));
    for (const p of mask ? sampledPositions(this.#plan.extent, mask) : this.#samples) {
      const first = Math.floor(p / inner) * channels * inner + (p % inner);
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

  /** The second of them. */
  get #secondTile(): number {
    return this.#tileAddress() + this.#bytes(this.#tileRows * this.#rowElements);
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
