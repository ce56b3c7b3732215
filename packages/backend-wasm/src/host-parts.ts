// Host arrays through wasm memory: copied in, worked on and copied out in parts that stay in cache on the way. All of it on the
// calling thread, the only one that can copy them: by the time others could help, a part has left the cache (docs/performance.md).
import type { FloatArray, Plan } from '@batchnorm/core-api';
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
  readonly #gradients: number;
  /** Room for parts, and for all of dy; taken when they are needed first. */
  #part = 0;
  #whole = 0;

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
  }

  /** Statistics and coefficients of `x`, into `saved`, with a copy of x; what is left is `deliver`. */
  forwardTraining(saved: SavedForward, x: FloatArray): void {
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
    this.#passes.perform(operations.coefficients);
  }

  /** The second half of `forwardTraining`, in which nothing can fail. */
  deliver(saved: SavedForward, y: FloatArray): void {
    this.#writeParts(y, (out) => ({ saved, x: saved.x, out }), operations.normalize);
  }

  forwardInference(saved: SavedForward, x: FloatArray, y: FloatArray): void {
    saved.hostX = x;
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

  backwardTraining(saved: SavedForward, dy: FloatArray, dx: FloatArray): void {
    const whole = this.#wholeRoom();
    const operands = { saved, x: saved.x, dy: whole, out: whole, ...this.#gradientAddresses };
    this.#passes.aim(operands);
    this.#passes.perform(operations.beginGradients);
    this.#eachPart((first, last) => {
      this.#copyIn(dy, first * this.#row, last * this.#row, whole + this.#bytes(first * this.#row));
      this.#passes.perform(operations.addGradients, first, last);
    });
    this.#passes.perform(operations.endGradients);
    this.#writeParts(dx, (out) => ({ ...operands, out }), operations.inputGradient);
  }

  /** dx needs no sums here: each part is read once and written at once. */
  backwardInference(saved: SavedForward, dy: FloatArray, dx: FloatArray): void {
    const room = this.#partRoom();
    const roomForX = room + this.#bytes(this.#rows * this.#row);
    const x = saved.hostX!;
    this.#passes.aim({ saved, x: 0, out: 0, ...this.#gradientAddresses });
    this.#passes.perform(operations.beginGradients);
    this.#eachPart((first, last) => {
      const skipped = this.#bytes(first * this.#row);
      this.#copyIn(x, first * this.#row, last * this.#row, roomForX);
      this.#copyIn(dy, first * this.#row, last * this.#row, room);
      const operands = { saved, x: roomForX - skipped, dy: room - skipped, out: room - skipped };
      this.#passes.aim({ ...operands, ...this.#gradientAddresses });
      this.#passes.perform(operations.addGradients, first, last);
      this.#passes.perform(operations.scaledGradient, first, last);
      this.#copyOut(room, dx, first * this.#row, last * this.#row);
    });
    this.#passes.perform(operations.endGradients);
  }

  /** Of the latest backward. */
  readGradients(dgamma: Float64Array, dbeta: Float64Array): void {
    const { float64 } = this.#memory;
    const { channels } = this.#plan.extent;
    const { dgamma: first, dbeta: second } = this.#gradientAddresses;
    dgamma.set(float64.subarray(first / 8, first / 8 + channels));
    dbeta.set(float64.subarray(second / 8, second / 8 + channels));
  }

  dispose(): void {
    this.#memory.free(this.#gradients);
    for (const room of [this.#part, this.#whole]) if (room !== 0) this.#memory.free(room);
  }

  get #gradientAddresses() {
    return { dgamma: this.#gradients, dbeta: this.#gradients + pitchOf(this.#plan.extent) * 8 };
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
    if (this.#part === 0) this.#part = this.#memory.allocate(2 * this.#bytes(this.#rows * this.#row));
    return this.#part;
  }

  #wholeRoom(): number {
    if (this.#whole === 0) this.#whole = this.#memory.allocate(this.#bytes(this.#elements));
    return this.#whole;
  }

  #bytes(elements: number): number {
    return elements * bytesPerElement[this.#plan.dtype];
  }
}
