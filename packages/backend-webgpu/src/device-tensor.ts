// Activations on the device, as users and layers get them.
import { arrayOf, type Backend, type DeviceTensor, type Dtype, type FloatArray, refuse } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import type { DeviceBuffer } from './device-buffer.js';
import type { Gpu } from './gpu.js';

/** An activation in a `GPUBuffer`. */
export class WebGpuTensor implements DeviceTensor {
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly #gpu: Gpu;
  /** None when disposed. */
  #memory: DeviceBuffer | undefined;

  /** It has the reference to `memory` from now on. */
  constructor(backend: Backend, gpu: Gpu, memory: DeviceBuffer, shape: readonly number[], dtype: Dtype) {
    this.backend = backend;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.#gpu = gpu;
    this.#memory = memory;
    releaseWhenDropped(this, memory);
    Object.freeze(this);
  }

  /**
   * `tensor`, if it lies on `gpu`: told by a private field, which no imitation has. Errors: `FOREIGN_TENSOR` otherwise,
   * `DISPOSED`.
   */
  static of(tensor: DeviceTensor, gpu: Gpu): WebGpuTensor {
    if (!(#memory in tensor) || tensor.#gpu !== gpu) {
      refuse('FOREIGN_TENSOR', 'a device tensor that this backend did not make', "one of this 'webgpu'");
    }
    tensor.memory;
    return tensor;
  }

  get disposed(): boolean {
    return this.#memory === undefined;
  }

  /** The memory itself, to be retained by whoever keeps it. Errors: `DISPOSED`. */
  get memory(): DeviceBuffer {
    return this.#memory ?? refuseDisposed();
  }

  /**
   * The buffer that the elements are in, from `offset` on: STORAGE, COPY_SRC and COPY_DST. The backend uses it again when
   * the tensor has been disposed. Errors: `DISPOSED`.
   */
  get buffer(): GPUBuffer {
    return this.memory.buffer;
  }

  /** In bytes. Errors: `DISPOSED`. */
  get offset(): number {
    return this.memory.offset;
  }

  async read(): Promise<FloatArray> {
    const [bytes] = await this.#gpu.read(this.memory);
    return new arrayOf[this.dtype](bytes!);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#memory?.release();
    this.#memory = undefined;
  }
}

export function refuseDisposed(): never {
  refuse('DISPOSED', 'a call on disposed device memory', 'memory that is alive');
}
