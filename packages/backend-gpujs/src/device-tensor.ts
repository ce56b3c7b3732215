// What users hold of the device: activations, and values that are read when somebody needs them.
import { type Backend, BatchNormError, type DeviceTensor, type OnDevice } from '@batchnorm/core-api';
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
    this.shape = [...shape];
    this.#resident = resident;
    if (isOnHost(resident.handle)) this.view = () => this.resident.handle as Float32Array;
  }

  get disposed(): boolean {
    return this.#resident.released;
  }

  /** Errors: `DISPOSED`. */
  get resident(): Resident {
    assertAlive(this.#resident);
    return this.#resident;
  }

  async read(): Promise<Float32Array> {
    const { resident } = this;
    const elements = await resident.read();
    return isOnHost(resident.handle) ? elements.slice() : elements;
  }

  /** Takes over other memory: gpu.js can't write a result into memory that it is given. */
  adopt(resident: Resident): void {
    this.#resident.release();
    this.#resident = resident;
  }

  dispose(): void {
    this.#resident.release();
  }
}

/** A value that `compute` makes of numbers on the device. */
export function onDevice<T>(residents: readonly Resident[], compute: (...numbers: Float32Array[]) => T): OnDevice<T> {
  return {
    read: async () => {
      residents.forEach(assertAlive);
      return compute(...(await Promise.all(residents.map((resident) => resident.read()))));
    },
    dispose: () => {
      for (const resident of residents) resident.release();
    },
  };
}

function assertAlive({ released }: Resident): void {
  if (released)
    throw new BatchNormError('DISPOSED', 'received a call on disposed device memory, expected memory that is alive');
}
