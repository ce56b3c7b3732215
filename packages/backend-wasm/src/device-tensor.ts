// What users hold of linear memory: activations, and values that are read when somebody needs them.
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
import type { Allocation } from './allocation.js';
import { bytesPerElement, type LinearMemory } from './linear-memory.js';
import type { SavedForward } from './saved-forward.js';

/** `vector`: with room for one more element, because kernels write pairs. */
type Kind = 'activation' | 'vector';

/** Elements in linear memory. Users can change neither their address nor their number: kernels write there. */
export abstract class Resident<T extends FloatArray> implements OnDevice<T> {
  readonly #kind: Kind;
  readonly #dtype: Dtype;
  readonly #memory: LinearMemory;
  readonly #length: number;
  /** None when disposed. */
  #allocation: Allocation | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(kind: Kind, memory: LinearMemory, dtype: Dtype, length: number) {
    this.#kind = kind;
    this.#dtype = dtype;
    this.#memory = memory;
    this.#length = length;
    const spare = kind === 'vector' ? 1 : 0;
    this.#allocation = memory.allocate((length + spare) * bytesPerElement[dtype]);
  }

  get dtype(): Dtype {
    return this.#dtype;
  }

  get disposed(): boolean {
    return this.#allocation === undefined;
  }

  /**
   * The elements themselves: write to them, and the value has changed. Ask again after any call that may have made
   * memory grow (an upload, a result that was not given a buffer): the array of a memory that is not shared is empty
   * then. Errors: `DISPOSED`.
   */
  view(): T {
    const begin = this.#begin;
    return this.#memory.elements(this.#dtype).subarray(begin, begin + this.#length) as T;
  }

  read(): T {
    const begin = this.#begin;
    return this.#memory.elements(this.#dtype).slice(begin, begin + this.#length) as T;
  }

  dispose(): void {
    this.#allocation?.free();
    this.#allocation = undefined;
  }

  /** The index of the first element in a view of all of memory. Errors: `DISPOSED`. */
  get #begin(): number {
    if (this.#allocation === undefined) refuseDisposed();
    return this.#allocation.at / bytesPerElement[this.#dtype];
  }

  /**
   * The address of `value`, if it is one of these in `memory`, of `length` elements of `dtype`: whatever looks like one
   * would be written to. Errors: `FOREIGN_TENSOR`, `DISPOSED`, `DTYPE_MISMATCH`, `INVALID_TENSOR`.
   */
  static addressOf(
    kind: Kind,
    value: object,
    name: string,
    memory: LinearMemory,
    dtype: Dtype,
    length: number,
  ): number {
    if (!(#kind in value) || value.#kind !== kind || value.#memory !== memory) {
      fail('FOREIGN_TENSOR', `${name} that this backend did not make`, 'a value on its device');
    }
    if (value.#allocation === undefined) fail('DISPOSED', `${name} that is disposed`, 'one that is alive');
    if (value.#dtype !== dtype) fail('DTYPE_MISMATCH', `${name} of ${value.#dtype}`, `${dtype}`);
    if (value.#length !== length) fail('INVALID_TENSOR', `${name} of ${value.#length} elements`, `${length}`);
    return value.#allocation.at;
  }
}

/** An activation. */
export class WasmTensor extends Resident<FloatArray> implements DeviceTensor {
  readonly #backend: Backend;
  readonly #shape: readonly number[];

  /** `shape` is frozen. Errors: `LIMIT_EXCEEDED`. */
  private constructor(
    backend: Backend,
    memory: LinearMemory,
    dtype: Dtype,
    shape: readonly number[],
    elements: number,
  ) {
    super('activation', memory, dtype, elements);
    this.#backend = backend;
    this.#shape = shape;
  }

  /** With a copy of `shape`. Errors: `LIMIT_EXCEEDED`. */
  static of(backend: Backend, memory: LinearMemory, dtype: Dtype, shape: readonly number[]): WasmTensor {
    return new WasmTensor(backend, memory, dtype, Object.freeze([...shape]), product(shape));
  }

  /** Of the shape and backend of `tensor`, which has so many `elements`. Errors: `LIMIT_EXCEEDED`. */
  static like(tensor: WasmTensor, memory: LinearMemory, dtype: Dtype, elements: number): WasmTensor {
    return new WasmTensor(tensor.#backend, memory, dtype, tensor.#shape, elements);
  }

  get backend(): Backend {
    return this.#backend;
  }

  get shape(): readonly number[] {
    return this.#shape;
  }
}

/** The gradient of a parameter. */
export class WasmVector extends Resident<Float64Array> {
  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, length: number) {
    super('vector', memory, 'float64', length);
  }
}

/** Batch statistics, in the tables of their forward, which are freed when neither is held any more. */
export class WasmStatistics implements OnDevice<Statistics> {
  readonly #saved: SavedForward;
  #disposed = false;

  constructor(saved: SavedForward) {
    this.#saved = saved;
    saved.hold();
  }

  /** The tables themselves, until memory grows. Errors: `DISPOSED`. */
  view(): Statistics {
    if (this.#disposed) refuseDisposed();
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

function refuseDisposed(): never {
  fail('DISPOSED', 'a call on disposed device memory', 'memory that is alive');
}
