// Host arrays for one call, at addresses: where they lie, or in copies.
import type { Dtype, FloatArray } from '@batchnorm/core-api';
import type { Allocation } from './allocation.js';
import type { LinearMemory } from './linear-memory.js';
import type { SharedArrays } from './shared-arrays.js';

export class Staging {
  readonly #arrays: SharedArrays;
  readonly #memory: LinearMemory;
  readonly #dtype: Dtype;
  readonly #copies: Allocation[] = [];
  /** What is to be copied back, and from where. */
  readonly #results: { readonly to: FloatArray; readonly copy: Allocation }[] = [];

  constructor(arrays: SharedArrays, memory: LinearMemory, dtype: Dtype) {
    this.#arrays = arrays;
    this.#memory = memory;
    this.#dtype = dtype;
  }

  /** The address of what a call reads. Errors: `LIMIT_EXCEEDED`. */
  read(elements: FloatArray): number {
    const at = this.#arrays.addressOf(elements);
    if (at !== undefined) return at;
    const copy = this.#copyFor(elements);
    this.#elementsOf(copy, elements.length).set(elements);
    return copy.at;
  }

  /** The address of what a call writes. Errors: `LIMIT_EXCEEDED`. */
  write(elements: FloatArray): number {
    const at = this.#arrays.addressOf(elements);
    if (at !== undefined) return at;
    const copy = this.#copyFor(elements);
    this.#results.push({ to: elements, copy });
    return copy.at;
  }

  /** Brings results to where they belong, and frees all copies. */
  finish(): void {
    for (const { to, copy } of this.#results) to.set(this.#elementsOf(copy, to.length));
    this.dispose();
  }

  dispose(): void {
    for (const copy of this.#copies) copy.free();
  }

  #copyFor({ byteLength }: FloatArray): Allocation {
    const copy = this.#memory.allocate(byteLength);
    this.#copies.push(copy);
    return copy;
  }

  /** Memory may have grown since. */
  #elementsOf({ at }: Allocation, length: number): FloatArray {
    const all = this.#memory.elements(this.#dtype);
    const first = at / all.BYTES_PER_ELEMENT;
    return all.subarray(first, first + length);
  }
}
