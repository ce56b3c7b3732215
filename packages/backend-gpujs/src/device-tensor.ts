// What users hold of the device: activations, and values that are read when somebody needs them.
import { type Backend, BatchNormError, type DeviceTensor, type OnDevice } from '@batchnorm/core-api';
import type { Engine } from './engine.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import { isOnHost, type Resident } from './resident.js';

/** An activation of float32. */
export class GpuJsTensor implements DeviceTensor {
  readonly backend: Backend;
  readonly dtype = 'float32';
  readonly shape: readonly number[];
  /** The elements themselves, on modes that compute on the host. */
  readonly view?: () => Float32Array;
  #resident: Resident;

  constructor(backend: Backend, resident: Resident, shape: readonly number[]) {
    this.backend = backend;
    this.shape = Object.freeze([...shape]);
    this.#resident = resident;
    if (isOnHost(resident.handle)) this.view = () => this.resident.handle as Float32Array;
    Object.freeze(this);
    releaseWhenDropped(this, resident);
  }

  /**
   * The one that `engine` made, by what nothing else can have. Errors: `FOREIGN_TENSOR` for whatever else says that it is of this
   * backend, `DISPOSED`.
   */
  static of(tensor: DeviceTensor, engine: Engine): GpuJsTensor {
    if (!(#resident in tensor) || tensor.#resident.engine !== engine) {
      throw new BatchNormError(
        'FOREIGN_TENSOR',
        "received a device tensor that this backend did not make, expected one of this 'gpujs'",
      );
    }
    assertAlive(tensor.#resident.released);
    return tensor;
  }

  get disposed(): boolean {
    return this.#resident.released;
  }

  /** Errors: `DISPOSED`. */
  get resident(): Resident {
    assertAlive(this.#resident.released);
    return this.#resident;
  }

  async read(): Promise<Float32Array> {
    const elements = await readShared(this.resident);
    return this.view ? elements.slice() : elements;
  }

  /** Takes over other memory: gpu.js can't write a result into memory that it is given. */
  adopt(resident: Resident): void {
    this.dispose();
    this.#resident = resident;
    releaseWhenDropped(this, resident);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#resident.release();
  }
}

/** What `compute` makes of a table on the device. */
export class TableValue<T> implements OnDevice<T> {
  #table: Resident;
  #compute: (table: Float32Array) => T;

  constructor(table: Resident, compute: (table: Float32Array) => T) {
    this.#table = table;
    this.#compute = compute;
    releaseWhenDropped(this, table);
  }

  get disposed(): boolean {
    return this.#table.released;
  }

  get engine(): Engine {
    return this.#table.engine;
  }

  async read(): Promise<T> {
    assertAlive(this.disposed);
    const compute = this.#compute;
    return compute(await readShared(this.#table));
  }

  /** Takes over what another is, which ends. */
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

  constructor(table: Resident, length: number, compute: (table: Float32Array) => Float64Array) {
    super(table, compute);
    this.#length = length;
  }

  /**
   * That `vector` can receive a gradient of `length` channels. Errors: `INVALID_TENSOR` unless `engine` made it, of that length;
   * `DISPOSED`.
   */
  static of(vector: OnDevice<Float64Array>, name: string, length: number, engine: Engine): GpuJsVector {
    if (!(#length in vector) || vector.engine !== engine || vector.#length !== length) {
      throw new BatchNormError(
        'INVALID_TENSOR',
        `received ${name} that this backend did not make for ${length} channels, expected one of its gradients`,
      );
    }
    assertAlive(vector.disposed);
    return vector;
  }
}

/** Reads with a hold of its own: the owner may be dropped meanwhile, or disposed. */
async function readShared(resident: Resident): Promise<Float32Array> {
  if (isOnHost(resident.handle)) return resident.read();
  const own = resident.share();
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
