// Activations on the device, as users and layers get them.
import { type Backend, BatchNormError, type DeviceTensor } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import { type ArrayOwner, assertAlive, type DeviceArray, isOnHost, readRetained } from './device-array.js';

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
  }

  /** For those that leave the call that made them: what is dropped without `dispose()` is freed. */
  freedWhenDropped(): this {
    releaseWhenDropped(this, this.#array);
    return this;
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

  /**
   * Becomes what `other` is, which must not be used any more: gpu.js can't write a result into memory that it is given.
   */
  adopt(other: GpuJsTensor): void {
    this.dispose();
    this.#array = other.#array;
    this.freedWhenDropped();
  }

  dispose(): void {
    releasedByOwner(this);
    this.#array.release();
  }
}
