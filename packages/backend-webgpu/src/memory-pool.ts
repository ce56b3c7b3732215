// Memory on the device, which is used again: a buffer that is freed goes to the next who asks for as much.
import { refuse } from '@batchnorm/core-api';
import { DeviceBuffer, type Usage } from './device-buffer.js';
import type { Encoding } from './encoding.js';
import type { Memory } from './recording.js';

/** What a buffer is for, in flags of `GPUBufferUsage`, which only pages have. */
const usages: Readonly<Record<Usage, number>> = {
  /** STORAGE | COPY_DST | COPY_SRC */
  storage: 0x80 | 0x08 | 0x04,
  /** UNIFORM | COPY_DST */
  uniform: 0x40 | 0x08,
  /** MAP_READ | COPY_DST */
  staging: 0x01 | 0x08,
};

/** Of what nobody uses. */
const mostIdleBytes = 2 ** 28;

/** Sizes are multiples of this, so that fewer differ. */
const granule = 256;

export class MemoryPool implements Memory {
  readonly device: GPUDevice;
  /** What is in use. */
  allocatedBytes = 0;
  /** How many buffers have been made. */
  made = 0;
  /** Those that were made and not destroyed. */
  readonly #buffers = new Set<GPUBuffer>();
  /** Those that nobody uses, by what they are for and their size. */
  readonly #idle = new Map<string, GPUBuffer[]>();
  #idleBytes = 0;
  readonly #userOf: (buffer: GPUBuffer) => Encoding | undefined;
  #destroyed = false;

  /** `userOf` tells whose commands may still be executed and use a buffer that is freed. */
  constructor(device: GPUDevice, userOf: (buffer: GPUBuffer) => Encoding | undefined) {
    this.device = device;
    this.#userOf = userOf;
  }

  /** Memory of `bytes` or more, which may hold anything. Errors: `LIMIT_EXCEEDED`. */
  take(bytes: number, usage: Usage = 'storage'): DeviceBuffer {
    const size = Math.max(1, Math.ceil(bytes / granule)) * granule;
    const most = this.device.limits.maxBufferSize;
    if (size > most) refuse('LIMIT_EXCEEDED', `${bytes} bytes at once`, `at most ${most} on this device`);
    const key = `${usage} ${size}`;
    let buffer = this.#idle.get(key)?.pop();
    if (buffer) this.#idleBytes -= size;
    else {
      buffer = this.device.createBuffer({ size, usage: usages[usage] });
      this.#buffers.add(buffer);
      this.made++;
    }
    this.allocatedBytes += size;
    return new DeviceBuffer(buffer, bytes, 0, (freed) => {
      this.allocatedBytes -= size;
      this.#putBack(key, size, freed);
    });
  }

  /** Destroys what nobody uses, until there is no more than `most` bytes of it. */
  trim(most: number = mostIdleBytes): void {
    for (const [key, buffers] of this.#idle) {
      if (this.#idleBytes <= most) return;
      for (const buffer of buffers) {
        this.#idleBytes -= buffer.size;
        this.#destroy(buffer);
      }
      this.#idle.delete(key);
    }
  }

  /** Destroys all buffers, in use or not. */
  destroy(): void {
    this.#destroyed = true;
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.#idle.clear();
  }

  #destroy(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  /** `isSpent`: nobody else may get it. */
  #putBack(key: string, size: number, buffer: GPUBuffer, isSpent = false): void {
    if (this.#destroyed) return;
    const user = this.#userOf(buffer);
    if (user) {
      // Another encoder may use it, too, and still be executed.
      user.whenSettled((failed) => this.#putBack(key, size, buffer, isSpent || failed));
      return;
    }
    if (isSpent) {
      // Commands that use what is destroyed can't be submitted: an encoder whose recording failed does no harm.
      this.#destroy(buffer);
      return;
    }
    const idle = this.#idle.get(key);
    if (idle) idle.push(buffer);
    else this.#idle.set(key, [buffer]);
    this.#idleBytes += size;
  }
}
