// What users hold of wasm memory: activations, and values that are read when somebody needs them.
import {
  type Backend,
  BatchNormError,
  type DeviceTensor,
  type Dtype,
  type ErrorCode,
  type FloatArray,
  type OnDevice,
  product,
  type Statistics,
} from '@batchnorm/core-api';
import { Holding, type KernelMemory } from './memory.js';
import type { SavedForward } from './saved-forward.js';

export const bytesPerElement: Readonly<Record<Dtype, number>> = { float32: 4, float64: 8 };

/** Elements at a place of a memory. Nobody can change where: kernels write there. */
abstract class Resident<T extends FloatArray> implements OnDevice<T> {
  readonly dtype: Dtype;
  readonly #memory: KernelMemory;
  readonly #holding: Holding;
  readonly #at: number;
  readonly #length: number;
  #disposed = false;

  /** Of `length` elements, with room for `spare` more. Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: KernelMemory, dtype: Dtype, length: number, spare: number) {
    this.dtype = dtype;
    this.#memory = memory;
    this.#length = length;
    this.#holding = new Holding(this, memory);
    this.#at = this.#holding.allocate((length + spare) * bytesPerElement[dtype]);
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * The elements themselves: write to them, and the value has changed. Ask again after any call that may have made memory
   * grow (an upload, a result that was not given a buffer): the array of a memory that is not shared is empty then.
   * Errors: `DISPOSED`.
   */
  view(): T {
    assertAlive(this.#disposed);
    const begin = this.#at / bytesPerElement[this.dtype];
    return this.#memory.elements(this.dtype).subarray(begin, begin + this.#length) as T;
  }

  read(): T {
    return this.view().slice() as T;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#holding.free();
  }

  /**
   * The address of `value`, if it is one of these in `memory`, of `length` elements of `dtype`: whatever looks like one would be written
   * to. Errors: `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`, `INVALID_TENSOR`.
   */
  static addressOf(value: unknown, name: string, memory: KernelMemory, dtype: Dtype, length: number): number {
    // biome-ignore lint/complexity/noThisInStatic: that of the class which is asked
    if (!(value instanceof this) || !(#memory in value) || value.#memory !== memory) {
      fail('FOREIGN_TENSOR', `${name} that this backend did not make`, 'a value on its device');
    }
    if (value.#disposed) fail('DISPOSED', `${name} that is disposed`, 'one that is alive');
    if (value.dtype !== dtype) fail('DTYPE_MISMATCH', `${name} of ${value.dtype}`, `${dtype}`);
    if (value.#length !== length) fail('INVALID_TENSOR', `${name} of ${value.#length} elements`, `${length}`);
    return value.#at;
  }
}

/** An activation. */
export class WasmTensor extends Resident<FloatArray> implements DeviceTensor {
  readonly backend: Backend;
  readonly shape: readonly number[];

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(backend: Backend, memory: KernelMemory, dtype: Dtype, shape: readonly number[]) {
    super(memory, dtype, product(shape), 0);
    this.backend = backend;
    this.shape = Object.freeze([...shape]);
    Object.freeze(this);
  }
}

/** The gradient of a parameter. */
export class WasmVector extends Resident<Float64Array> {
  /** With room for a pair beyond the last channel. Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: KernelMemory, length: number) {
    super(memory, 'float64', length, 1);
    Object.freeze(this);
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

  /** The tables themselves, until memory grows. Errors: `DISPOSED`. */
  view(): Statistics {
    assertAlive(this.#disposed);
    return { mean: this.#saved.mean, variance: this.#saved.variance };
  }

  read(): Statistics {
    const { mean, variance } = this.view();
    return { mean: mean.slice(), variance: variance.slice() };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#saved.release();
  }
}

function fail(code: ErrorCode, received: string, expected: string): never {
  throw new BatchNormError(code, `received ${received}, expected ${expected}`);
}

function assertAlive(disposed: boolean): void {
  if (disposed) {
    throw new BatchNormError('DISPOSED', 'received a call on disposed device memory, expected memory that is alive');
  }
}
