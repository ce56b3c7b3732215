// A result of a kernel, where the mode keeps it: a texture, a GPU buffer, or a typed array.
import type { Engine } from './engine.js';

/** What gpu.js returns from a kernel with `pipeline: true`. */
export type Handle = Float32Array | DeviceHandle;

interface DeviceHandle {
  toArray(): Float32Array | Promise<Float32Array>;
  clone(): DeviceHandle;
  delete(): void;
}

/** Float32 numbers on the device. Whoever holds one releases it; the memory goes when the last holder has. */
export class Resident {
  readonly handle: Handle;
  readonly #engine: Engine;
  /** Of the same memory, those that are not released. */
  readonly #holders: Set<Resident>;
  released = false;

  constructor(handle: Handle, engine: Engine, holders: Set<Resident> = new Set()) {
    this.handle = handle;
    this.#engine = engine;
    this.#holders = holders.add(this);
    engine.alive.add(this);
  }

  /** Whether anybody holds this memory. */
  get held(): boolean {
    return this.#holders.size > 0;
  }

  /** The same memory for another holder. */
  share(): Resident {
    return new Resident(isOnHost(this.handle) ? this.handle : this.handle.clone(), this.#engine, this.#holders);
  }

  /** The numbers on the host; on modes that compute there, the memory itself. Errors: `DEVICE_LOST`. */
  async read(): Promise<Float32Array> {
    const { handle } = this;
    return isOnHost(handle) ? handle : this.#engine.guard(() => handle.toArray());
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.#engine.alive.delete(this);
    this.#holders.delete(this);
    if (!isOnHost(this.handle)) this.handle.delete();
  }
}

export function isOnHost(handle: Handle): handle is Float32Array {
  return ArrayBuffer.isView(handle);
}
