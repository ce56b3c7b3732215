// Host arrays through wasm memory: copied in, worked on and copied out in parts that stay in cache on the way. All of it on the
// calling thread, the only one that can copy them: by the time others could help, a part has left the cache (docs/performance.md).
import type { FloatArray, Plan } from '@batchnorm/core-api';
import type { Allocation } from './allocation.js';
import { bytesPerElement } from './device-tensor.js';
import type { KernelMemory } from './memory.js';
import { operations, type Passes } from './passes.js';
import { pitchOf, type SavedForward } from './saved-forward.js';

/** What a part should have at most: a quarter of a usual L2 cache. */
const partBytes = 256 << 10;
/** Values of a channel that make its pivot (assembly/channels.ts). */
const samples = 20;

export class HostParts {
  readonly #memory: KernelMemory;
  readonly #passes: Passes;
  readonly #plan: Plan;
  /** Elements of an outer index. */
  readonly #row: number;
  /** Outer indices of a part, at most. */
  readonly #rows: number;
  readonly #elements: number;
  /** Where dgamma and dbeta go. */
  readonly #gradients: Allocation;
  readonly #dgamma: number;
  readonly #dbeta: number;
  /** Room for parts, and for all of dy; taken when they are needed first. */
  #part: Allocation | undefined;
  #whole: Allocation | undefined;

  constructor(memory: KernelMemory, passes: Passes, plan: Plan) {
    const { outer, channels, inner } = plan.extent;
    this.#memory = memory;
    this.#passes = passes;
    this.#plan = plan;
    this.#elements = outer * channels * inner;
    this.#row = this.#elements / passes.outer;
    const rows = Math.floor(partBytes / (this.#row * bytesPerElement[plan.dtype]));
    const { together } = passes;
    this.#rows = Math.min(passes.outer, Math.max(together, Math.floor(rows / together) * together));
    this.#gradients = memory.allocate(2 * pitchOf(plan.extent) * 8);
    this.#dgamma = this.#gradients.at;
    this.#dbeta = this.#dgamma + pitchOf(plan.extent) * 8;
  }

  /** Statistics and coefficients of `x`, into `saved`, with a copy of x; what is left is `deliver`. Whether all are finite. */
  forwardTraining(saved: SavedForward, x: FloatArray): boolean {
    const copy = saved.copyOfX(this.#bytes(this.#elements));
    saved.x = copy;
    this.#passes.aim({ saved, x: copy, out: 0 });
    this.#copySamples(x, copy);
    this.#passes.perform(operations.choosePivots);
    this.#eachPart((first, last) => {
      this.#copyIn(x, first * this.#row, last * this.#row, copy + this.#bytes(first * this.#row));
      this.#passes.perform(operations.addMoments, first, last);
    });
    if (this.#passes.perform(operations.endMoments)) {
      this.#passes.perform(operations.addMoments, 0, this.#passes.outer);
      this.#passes.perform(operations.endMoments);
    }
    const areFinite = !this.#passes.perform(operations.settleMoments);
    this.#passes.perform(operations.coefficients);
    return areFinite;
  }

  /** The second half of `forwardTraining`, in which nothing can fail. */
  deliver(saved: SavedForward, y: FloatArray): void {
    this.#writeParts(y, (out) => ({ saved, x: saved.x, out }), operations.normalize);
  }

  forwardInference(saved: SavedForward, x: FloatArray, y: FloatArray): void {
    saved.source = x;
    this.#passes.aim({ saved, x: 0, out: 0 });
    this.#passes.perform(operations.coefficients);
    const room = this.#partRoom();
    this.#eachPart((first, last) => {
      const skipped = this.#bytes(first * this.#row);
      this.#copyIn(x, first * this.#row, last * this.#row, room);
      this.#passes.aim({ saved, x: room - skipped, out: room - skipped });
      this.#passes.perform(operations.normalize, first, last);
      this.#copyOut(room, y, first * this.#row, last * this.#row);
    });
  }

  /** dgamma and dbeta; what is left is `deliverGradient`. Whether all are finite. */
  backwardTraining(saved: SavedForward, dy: FloatArray): boolean {
    const whole = this.#wholeRoom();
    this.#passes.aim({ saved, x: saved.x, dy: whole, out: 0 });
    this.#beginGradients();
    this.#eachPart((first, last) => {
      this.#copyIn(dy, first * this.#row, last * this.#row, whole + this.#bytes(first * this.#row));
      this.#passes.perform(operations.addGradients, first, last);
    });
    if (this.#passes.perform(operations.endGradients)) {
      this.#passes.perform(operations.addWideGradients, 0, this.#passes.outer);
    }
    return !this.#passes.perform(operations.gradientCoefficients);
  }

  /** The second half of `backwardTraining`, in which nothing can fail. */
  deliverGradient(saved: SavedForward, dx: FloatArray): void {
    const dy = this.#wholeRoom();
    this.#writeParts(dx, (out) => ({ saved, x: saved.x, dy, out }), operations.inputGradient);
  }

  /** dx needs no sums here: each part is read once and written at once, unless that takes away what may be summed again. */
  backwardInference(saved: SavedForward, dy: FloatArray, dx: FloatArray, parameterGradients: boolean): void {
    if (!parameterGradients) {
      this.#eachGradientPart(saved, dy, [operations.scaledGradient], dx);
      return;
    }
    const inPlace = dx.buffer === dy.buffer;
    this.#beginGradients();
    if (inPlace) this.#eachGradientPart(saved, dy, [operations.addGradients]);
    else this.#eachGradientPart(saved, dy, [operations.addGradients, operations.scaledGradient], dx);
    const isLost = this.#passes.perform(operations.endGradients);
    if (isLost) this.#eachGradientPart(saved, dy, [operations.addWideGradients]);
    if (inPlace) this.#eachGradientPart(saved, dy, [operations.scaledGradient], dx);
  }

  /** Passes over parts of dy, and of x if they add up, that may end in dx. */
  #eachGradientPart(saved: SavedForward, dy: FloatArray, passes: readonly number[], dx?: FloatArray): void {
    const room = this.#partRoom();
    const roomForX = room + this.#bytes(this.#rows * this.#row);
    const x = passes[0] === operations.scaledGradient ? undefined : (saved.source as FloatArray);
    this.#eachPart((first, last) => {
      const [begin, end] = [first * this.#row, last * this.#row];
      if (x !== undefined) this.#copyIn(x, begin, end, roomForX);
      this.#copyIn(dy, begin, end, room);
      const here = room - this.#bytes(begin);
      this.#passes.aim({ saved, x: roomForX - this.#bytes(begin), dy: here, out: here });
      for (const pass of passes) this.#passes.perform(pass, first, last);
      if (dx !== undefined) this.#copyOut(room, dx, begin, end);
    });
  }

  /** Of the latest backward, until memory grows. */
  get gradients(): { readonly dgamma: Float64Array; readonly dbeta: Float64Array } {
    const { float64 } = this.#memory;
    const { channels } = this.#plan.extent;
    const [dgamma, dbeta] = [this.#dgamma / 8, this.#dbeta / 8];
    return { dgamma: float64.subarray(dgamma, dgamma + channels), dbeta: float64.subarray(dbeta, dbeta + channels) };
  }

  dispose(): void {
    for (const room of [this.#gradients, this.#part, this.#whole]) room?.free();
  }

  #beginGradients(): void {
    this.#passes.aimGradients(this.#dgamma, this.#dbeta);
    this.#passes.perform(operations.beginGradients);
  }

  /** Performs a pass part by part, into room in cache and from there into `out`. */
  #writeParts(out: FloatArray, operandsFor: (out: number) => Parameters<Passes['aim']>[0], operation: number): void {
    const room = this.#partRoom();
    this.#eachPart((first, last) => {
      this.#passes.aim(operandsFor(room - this.#bytes(first * this.#row)));
      this.#passes.perform(operation, first, last);
      this.#copyOut(room, out, first * this.#row, last * this.#row);
    });
  }

  /** What pivots are chosen from, in its place in the copy of x. */
  #copySamples(x: FloatArray, copy: number): void {
    const { outer, channels, inner } = this.#plan.extent;
    const room = this.#room.subarray(copy / bytesPerElement[this.#plan.dtype]);
    const M = outer * inner;
    const count = Math.min(samples, M);
    const step = Math.max(1, Math.floor(M / (count + 1)));
    for (let j = 0; j < count * step; j += step) {
      const first = Math.floor(j / inner) * channels * inner + (j % inner);
      for (let k = first, n = 0; n < channels; n++, k += inner) room[k] = x[k]!;
    }
  }

  #eachPart(visit: (first: number, last: number) => void): void {
    const { outer } = this.#passes;
    for (let first = 0; first < outer; first += this.#rows) visit(first, Math.min(first + this.#rows, outer));
  }

  #copyIn(from: FloatArray, begin: number, end: number, to: number): void {
    const isAll = begin === 0 && end === from.length;
    this.#room.set(isAll ? from : from.subarray(begin, end), to / bytesPerElement[this.#plan.dtype]);
  }

  #copyOut(from: number, to: FloatArray, begin: number, end: number): void {
    const first = from / bytesPerElement[this.#plan.dtype];
    to.set(this.#room.subarray(first, first + end - begin), begin);
  }

  get #room(): FloatArray {
    return this.#memory.elements(this.#plan.dtype);
  }

  /** For a part of x and one of dy. */
  #partRoom(): number {
    this.#part ??= this.#memory.allocate(2 * this.#bytes(this.#rows * this.#row));
    return this.#part.at;
  }

  #wholeRoom(): number {
    this.#whole ??= this.#memory.allocate(this.#bytes(this.#elements));
    return this.#whole.at;
  }

  #bytes(elements: number): number {
    return elements * bytesPerElement[this.#plan.dtype];
  }
}
