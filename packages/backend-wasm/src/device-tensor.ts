// What users hold of linear memory: activations, and values that are read when somebody needs them.
import {
  type Backend,
  BatchNormError,
  type DeviceTensor,
  type Dtype,
  type ErrorCode,
  type Extent,
  type FloatArray,
  type GradientSums,
  type Moments,
  type OnDevice,
  product,
} from '@batchnorm/core-api';
import type { Allocation } from './allocation.js';
import type { Job } from './job.js';
import { bytesPerElement, type LinearMemory } from './linear-memory.js';
import type { SavedForward } from './saved-forward.js';
import { Sums } from './sums.js';
import { pitchOf } from './tiling.js';

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

/** The moments of a batch, in tables that are freed when nobody holds them any more: a forward may hold them, too. */
export class WasmMoments implements OnDevice<Moments> {
  readonly #tables: SavedForward;
  #disposed = false;

  /** Releases `tables` when it is disposed. */
  constructor(tables: SavedForward) {
    this.#tables = tables;
  }

  /** The tables themselves, until memory grows. Errors: `DISPOSED`. */
  view(): Moments {
    if (this.#disposed) refuseDisposed();
    const { M, mean, m2 } = this.#tables;
    return { count: M, mean, m2 };
  }

  read(): Moments {
    const { count, mean, m2 } = this.view();
    return { count, mean: mean.slice(), m2: m2.slice() };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#tables.release();
  }
}

/** Sums of gradients, in tables of their own. */
export class WasmSums implements OnDevice<GradientSums> {
  readonly #memory: LinearMemory;
  readonly #channels: number;
  /** Addresses, the last one that of flags. */
  readonly #dgamma: number;
  readonly #dbeta: number;
  readonly #wide: number;
  /** None when disposed. */
  #allocation: Allocation | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, extent: Extent) {
    const pitch = pitchOf(extent);
    this.#memory = memory;
    this.#channels = extent.channels;
    this.#allocation = memory.allocate(pitch * (8 + 8 + 4));
    this.#dgamma = this.#allocation.at;
    this.#dbeta = this.#dgamma + pitch * 8;
    this.#wide = this.#dbeta + pitch * 8;
  }

  /** Has the next calls of `job` add up here. */
  bindTo(job: Job): void {
    job.bindGradients(this.#dgamma, this.#dbeta, this.#wide);
  }

  /** The tables themselves, until memory grows. Errors: `DISPOSED`. */
  view(): Sums {
    if (this.#allocation === undefined) refuseDisposed();
    const { dgamma, dbeta } = this.gradients;
    const wide = this.#wide / 4;
    return new Sums(dgamma, dbeta, this.#memory.int32.subarray(wide, wide + this.#channels));
  }

  read(): Sums {
    return this.view().copy();
  }

  dispose(): void {
    this.#allocation?.free();
    this.#allocation = undefined;
  }

  /** The tables of float64 alone, for kernels that do not dispose them. */
  get gradients(): GradientSums {
    const { float64 } = this.#memory;
    const [dgamma, dbeta] = [this.#dgamma / 8, this.#dbeta / 8];
    return {
      dgamma: float64.subarray(dgamma, dgamma + this.#channels),
      dbeta: float64.subarray(dbeta, dbeta + this.#channels),
    };
  }
}

/**
 * What a stage found, or the host made of what several found. Errors: `DISPOSED`; `FOREIGN_TENSOR` for what lies where
 * this backend can't look.
 */
export function valuesOf<T extends Moments | GradientSums>(found: OnDevice<T> | T, name: string): T {
  if (!('read' in found)) return found;
  return found.view?.() ?? fail('FOREIGN_TENSOR', `${name} that this backend did not make`, 'a value on its device');
}

function fail(code: ErrorCode, received: string, expected: string): never {
  throw new BatchNormError(code, `received ${received}, expected ${expected}`);
}

function refuseDisposed(): never {
  fail('DISPOSED', 'a call on disposed device memory', 'memory that is alive');
}
