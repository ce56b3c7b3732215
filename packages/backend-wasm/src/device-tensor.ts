// What users hold of wasm memory: activations, and values that are read when somebody needs them.
import {
  type Backend,
  BatchNormError,
  type DeviceTensor,
  type Dtype,
  type FloatArray,
  type OnDevice,
  product,
  type Statistics,
} from '@batchnorm/core-api';
import type { KernelMemory } from './memory.js';
import type { SavedForward } from './saved-forward.js';

export const bytesPerElement: Readonly<Record<Dtype, number>> = { float32: 4, float64: 8 };

/** An activation. */
export class WasmTensor implements DeviceTensor {
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Its address. */
  readonly at: number;
  readonly #memory: KernelMemory;
  readonly #length: number;
  #disposed = false;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(backend: Backend, memory: KernelMemory, dtype: Dtype, shape: readonly number[]) {
    this.backend = backend;
    this.dtype = dtype;
    this.shape = [...shape];
    this.#memory = memory;
    this.#length = product(shape);
    this.at = memory.allocate(this.#length * bytesPerElement[dtype]);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * The elements themselves: write to them, and the tensor has changed. Ask again after any call that may have made memory
   * grow (an upload, a result that was not given a buffer): the array of a memory that is not shared is empty then.
   * Errors: `DISPOSED`.
   */
  view(): FloatArray {
    assertAlive(this.#disposed);
    const begin = this.at / bytesPerElement[this.dtype];
    return this.#memory.elements(this.dtype).subarray(begin, begin + this.#length);
  }

  read(): FloatArray {
    return this.view().slice();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#memory.free(this.at);
  }
}

/** The gradient of a parameter. */
export class WasmVector implements OnDevice<Float64Array> {
  readonly at: number;
  readonly length: number;
  readonly #memory: KernelMemory;
  #disposed = false;

  /** With room for a pair beyond the last channel. Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: KernelMemory, length: number) {
    this.length = length;
    this.#memory = memory;
    this.at = memory.allocate((length + 1) * 8);
  }

  /** Whether results of `length` channels may go here. */
  fits(memory: KernelMemory, length: number): boolean {
    return this.#memory === memory && this.length === length && !this.#disposed;
  }

  read(): Float64Array {
    assertAlive(this.#disposed);
    return this.#memory.float64.slice(this.at / 8, this.at / 8 + this.length);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#memory.free(this.at);
  }
}

/** Batch statistics, in the tables of the forward that they belong to: whoever is last, frees them. */
export class WasmStatistics implements OnDevice<Statistics> {
  readonly #saved: SavedForward;
  #disposed = false;

  constructor(saved: SavedForward) {
    this.#saved = saved;
    saved.hold();
  }

  read(): Statistics {
    assertAlive(this.#disposed);
    return { mean: this.#saved.mean.slice(), variance: this.#saved.variance.slice() };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#saved.release();
  }
}

function assertAlive(disposed: boolean): void {
  if (disposed) {
    throw new BatchNormError('DISPOSED', 'received a call on disposed device memory, expected memory that is alive');
  }
}
