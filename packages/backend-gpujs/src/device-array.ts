// The result of a GPU kernel, where its mode keeps it: a texture, a GPU buffer, or a typed array.
import { BatchNormError } from '@batchnorm/core-api';

/** What gpu.js returns from a kernel with `pipeline: true`. */
export type Handle = Float32Array | DeviceHandle;

interface DeviceHandle {
  toArray(): Float32Array | Promise<Float32Array>;
  clone(): DeviceHandle;
  delete(): void;
}

/** What device arrays over the same memory have in common. */
export interface Allocation {
  readonly bytes: number;
  /** How many device arrays use the memory. */
  references: number;
  /** Called when the last of them has been released. */
  onFree(): void;
}

/** Who keeps account of device arrays, and runs what touches the device. */
export interface ArrayOwner {
  /** Those that nobody has released yet. */
  readonly alive: Set<DeviceArray>;
  /** The bytes that they take. */
  allocatedBytes: number;
  /** Runs `work` on the device. Errors: `DEVICE_LOST`, `LIMIT_EXCEEDED`, `DISPOSED`. */
  guard<T>(work: () => T | PromiseLike<T>): Promise<T>;
}

/** A reference to float32 numbers on the device: the memory is freed when the last reference has been released. */
export class DeviceArray {
  readonly handle: Handle;
  readonly owner: ArrayOwner;
  readonly #allocation: Allocation;
  released = false;

  constructor(handle: Handle, owner: ArrayOwner, allocation: Allocation) {
    this.handle = handle;
    this.owner = owner;
    this.#allocation = allocation;
    if (allocation.references === 0) owner.allocatedBytes += allocation.bytes;
    allocation.references++;
    owner.alive.add(this);
  }

  /** Whether the memory is in use, by this reference or by another one. */
  get inUse(): boolean {
    return this.#allocation.references > 0;
  }

  /** Another reference to the same memory, to be released by itself. */
  retain(): DeviceArray {
    return new DeviceArray(isOnHost(this.handle) ? this.handle : this.handle.clone(), this.owner, this.#allocation);
  }

  /** The numbers, copied to the host; in modes that compute on the host, the memory itself. Errors: `DEVICE_LOST`. */
  async read(): Promise<Float32Array> {
    const { handle } = this;
    return isOnHost(handle) ? handle : this.owner.guard(() => handle.toArray());
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.owner.alive.delete(this);
    if (!isOnHost(this.handle)) this.handle.delete();
    this.#allocation.references--;
    if (this.inUse) return;
    this.owner.allocatedBytes -= this.#allocation.bytes;
    this.#allocation.onFree();
  }
}

export function isOnHost(handle: Handle): handle is Float32Array {
  return ArrayBuffer.isView(handle);
}

/** Reads through a reference of its own: whoever asked may be dropped or disposed meanwhile. */
export async function readRetained(array: DeviceArray): Promise<Float32Array> {
  if (isOnHost(array.handle)) return array.read();
  const own = array.retain();
  try {
    return await own.read();
  } finally {
    own.release();
  }
}

/** Errors: `DISPOSED`. */
export function assertAlive(disposed: boolean): void {
  if (disposed)
    throw new BatchNormError('DISPOSED', 'received a call on disposed device memory, expected memory that is alive');
}
