// A stretch of a GPU buffer that several may use: it is freed when the last of them has let it go.

import type { Encoding } from './encoding.js';

export type Usage = 'storage' | 'uniform' | 'staging';

export class DeviceBuffer {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
  /** Whether the buffer is the caller's, who may destroy it at any time. */
  readonly isForeign: boolean;
  /** What will have written what it holds, if that is in an encoder of the caller. */
  encoding: Encoding | undefined;
  readonly #free: ((buffer: GPUBuffer) => void) | undefined;
  #references = 1;

  /**
   * Whoever makes it has a reference. `free` gets the buffer when there is none left; without it the buffer is the
   * caller's.
   */
  constructor(buffer: GPUBuffer, bytes: number, offset: number, free?: (buffer: GPUBuffer) => void) {
    this.buffer = buffer;
    this.offset = offset;
    this.bytes = bytes;
    this.isForeign = free === undefined;
    this.#free = free;
  }

  /** Another reference, to be released, too. */
  retain(): this {
    this.#references++;
    return this;
  }

  release(): void {
    if (--this.#references === 0) this.#free?.(this.buffer);
  }
}
