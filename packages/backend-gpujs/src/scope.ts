// What one call holds on the device: let go when the call ends, also by an error, but for what it detaches.
import { type DeviceArray, isOnHost } from './device-array.js';

export class Scope {
  readonly #ends = new Map<object, () => void>();

  /** Releases `array` when the call ends. */
  use(array: DeviceArray): DeviceArray {
    this.#ends.set(array, () => array.release());
    return array;
  }

  /** Disposes `value` when the call ends. */
  own<T extends { dispose(): void }>(value: T): T {
    this.#ends.set(value, () => value.dispose());
    return value;
  }

  /**
   * A reference of the call's own to an array that somebody may release meanwhile. On the host its numbers stay without
   * one.
   */
  retain(array: DeviceArray): DeviceArray {
    return isOnHost(array.handle) ? array : this.use(array.retain());
  }

  /** Holds `one` no longer: it goes to somebody who will let it go. */
  detach<T extends object>(one: T): T {
    this.#ends.delete(one);
    return one;
  }

  end(): void {
    for (const end of this.#ends.values()) end();
  }
}

export async function inScope<T>(call: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = new Scope();
  try {
    return await call(scope);
  } finally {
    scope.end();
  }
}
