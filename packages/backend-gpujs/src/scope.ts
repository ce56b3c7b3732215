// The device arrays that one call uses: released when the call ends, also by an error, but for those that it detaches.
import { type DeviceArray, isOnHost } from './device-array.js';

export class Scope {
  readonly #used: DeviceArray[] = [];

  /** Releases `array` when the call ends. */
  use(array: DeviceArray): DeviceArray {
    this.#used.push(array);
    return array;
  }

  /**
   * A reference of the call's own to an array that somebody may release meanwhile. On the host its numbers stay without
   * one.
   */
  retain(array: DeviceArray): DeviceArray {
    return isOnHost(array.handle) ? array : this.use(array.retain());
  }

  /** Does not release `array` any more: it goes to somebody who will. */
  detach(array: DeviceArray): DeviceArray {
    this.#used.splice(this.#used.indexOf(array), 1);
    return array;
  }

  end(): void {
    for (const array of this.#used) array.release();
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
