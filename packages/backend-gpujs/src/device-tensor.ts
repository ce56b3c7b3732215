// Device tensors and other values on the device that users and layers get.
import { type Backend, BatchNormError, type DeviceTensor, type OnDevice } from '@batchnorm/core-api';
import { type ArrayOwner, type DeviceArray, isOnHost } from './device-array.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';

/** An activation of float32. */
export class GpuJsTensor implements DeviceTensor {
  readonly backend: Backend;
  readonly dtype = 'float32';
  readonly shape: readonly number[];
  /** The elements themselves, in modes that compute on the host. */
  readonly view?: () => Float32Array;
  #array: DeviceArray;

  constructor(backend: Backend, array: DeviceArray, shape: readonly number[]) {
    this.backend = backend;
    this.shape = Object.freeze([...shape]);
    this.#array = array;
    if (isOnHost(array.handle)) this.view = () => this.array.handle as Float32Array;
    Object.freeze(this);
    releaseWhenDropped(this, array);
  }

  /**
   * `tensor`, if `owner` has its memory: told by a private field, which no imitation has. Errors: `FOREIGN_TENSOR`
   * otherwise, `DISPOSED`.
   */
  static of(tensor: DeviceTensor, owner: ArrayOwner): GpuJsTensor {
    if (!(#array in tensor) || tensor.#array.owner !== owner) {
      throw new BatchNormError(
        'FOREIGN_TENSOR',
        "received a device tensor that this backend did not make, expected one of this 'gpujs'",
      );
    }
    assertAlive(tensor.#array.released);
    return tensor;
  }

  get disposed(): boolean {
    return this.#array.released;
  }

  /** Errors: `DISPOSED`. */
  get array(): DeviceArray {
    assertAlive(this.#array.released);
    return this.#array;
  }

  async read(): Promise<Float32Array> {
    const elements = await readRetained(this.array);
    return this.view ? elements.slice() : elements;
  }

  /** Becomes the tensor of another array: gpu.js can't write a result into memory that it is given. */
  adopt(array: DeviceArray): void {
    this.dispose();
    this.#array = array;
    releaseWhenDropped(this, array);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#array.release();
  }
}

/** A value that `compute` makes of a table on the device when it is read. */
export class TableValue<T> implements OnDevice<T> {
  #table: DeviceArray;
  #compute: (table: Float32Array) => T;

  constructor(table: DeviceArray, compute: (table: Float32Array) => T) {
    this.#table = table;
    this.#compute = compute;
    releaseWhenDropped(this, table);
  }

  get disposed(): boolean {
    return this.#table.released;
  }

  get owner(): ArrayOwner {
    return this.#table.owner;
  }

  async read(): Promise<T> {
    assertAlive(this.disposed);
    const compute = this.#compute;
    return compute(await readRetained(this.#table));
  }

  /** Becomes what `other` is; `other` must not be used any more. */
  adopt(other: TableValue<T>): void {
    this.dispose();
    const table = other.#table;
    this.#table = table;
    this.#compute = other.#compute;
    releasedByOwner(other);
    releaseWhenDropped(this, table);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#table.release();
  }
}

/** The gradient of a parameter. */
export class GpuJsVector extends TableValue<Float64Array> {
  readonly #length: number;

  constructor(table: DeviceArray, length: number, compute: (table: Float32Array) => Float64Array) {
    super(table, compute);
    this.#length = length;
  }

  /**
   * `vector`, if it can receive a gradient of `length` channels. Errors: `INVALID_TENSOR` unless `owner` has its memory
   * and it has that length; `DISPOSED`.
   */
  static of(vector: OnDevice<Float64Array>, name: string, length: number, owner: ArrayOwner): GpuJsVector {
    if (!(#length in vector) || vector.owner !== owner || vector.#length !== length) {
      throw new BatchNormError(
        'INVALID_TENSOR',
        `received ${name} that this backend did not make for ${length} channels, expected one of its gradients`,
      );
    }
    assertAlive(vector.disposed);
    return vector;
  }
}

/** Reads through a reference of its own: whoever asked may be dropped or disposed meanwhile. */
async function readRetained(array: DeviceArray): Promise<Float32Array> {
  if (isOnHost(array.handle)) return array.read();
  const own = array.retain();
  try {
    return await own.read();
  } finally {
    own.release();
  }
}

function assertAlive(disposed: boolean): void {
  if (disposed)
    throw new BatchNormError('DISPOSED', 'received a call on disposed device memory, expected memory that is alive');
}
