// A result of a kernel, where the mode keeps it: a texture, a GPU buffer, or a typed array.
import type { Engine } from './engine.js';

/** What gpu.js returns from a kernel with `pipeline: true`. */
export type Handle = Float32Array | DeviceHandle;

interface DeviceHandle {
  toArray(): Float32Array | Promise<Float32Array>;
  clone(): DeviceHandle;
  delete(): void;
}

/** What residents of the same memory have in common. */
export interface Memory {
  readonly bytes: number;
  holders: number;
  /** Called when the last holder has released it. */
  onFree(): void;
}

/** Float32 numbers on the device. Whoever holds one releases it; the memory goes when the last holder has. */
export class Resident {
  readonly handle: Handle;
  readonly engine: Engine;
  readonly #memory: Memory;
  released = false;

  constructor(handle: Handle, engine: Engine, memory: Memory) {
    this.handle = handle;
    this.engine = engine;
    this.#memory = memory;
    if (memory.holders === 0) engine.allocatedBytes += memory.bytes;
    memory.holders++;
    engine.alive.add(this);
  }

  /** Whether anybody holds this memory. */
  get held(): boolean {
    return this.#memory.holders > 0;
  }

  /** The same memory for another holder. */
  share(): Resident {
    return new Resident(isOnHost(this.handle) ? this.handle : this.handle.clone(), this.engine, this.#memory);
  }

  /** The numbers on the host; on modes that compute there, the memory itself. Errors: `DEVICE_LOST`. */
  async read(): Promise<Float32Array> {
    const { handle } = this;
    return isOnHost(handle) ? handle : this.engine.guard(() => handle.toArray());
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.engine.alive.delete(this);
    if (!isOnHost(this.handle)) this.handle.delete();
    this.#memory.holders--;
    if (this.#memory.holders > 0) return;
    this.engine.allocatedBytes -= this.#memory.bytes;
    this.#memory.onFree();
  }
}

export function isOnHost(handle: Handle): handle is Float32Array {
  return ArrayBuffer.isView(handle);
}
