// What one call holds on the device: let go when the call ends, also by an error, but for what it detaches.
import { type DeviceArray, isOnHost } from './device-array.js';

interface Disposable {
  dispose(): void;
}

export class Scope {
  readonly #held = new Set<DeviceArray | Disposable>();

  /** Releases `array` when the call ends. */
  use(array: DeviceArray): DeviceArray {
    this.#held.add(array);
    return array;
  }

  /** Disposes `value` when the call ends. */
  own<T extends Disposable>(value: T): T {
    this.#held.add(value);
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
  detach<T extends DeviceArray | Disposable>(one: T): T {
    this.#held.delete(one);
    return one;
  }

  end(): void {
    for (const one of this.#held) {
      if ('release' in one) one.release();
      else one.dispose();
    }
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
