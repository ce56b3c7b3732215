// What a call has on the device: freed when the call ends, however it ends, but for what it gives away.
import { isOnHost, type Resident } from './resident.js';

export class Scope {
  readonly #held: Resident[] = [];

  /** Frees `resident` at the end. */
  hold(resident: Resident): Resident {
    this.#held.push(resident);
    return resident;
  }

  /** A hold on what somebody else may let go of meanwhile. On the host its numbers stay. */
  share(resident: Resident): Resident {
    return isOnHost(resident.handle) ? resident : this.hold(resident.share());
  }

  /** `resident` is somebody else's from now on. */
  give(resident: Resident): Resident {
    this.#held.splice(this.#held.indexOf(resident), 1);
    return resident;
  }

  end(): void {
    for (const resident of this.#held) resident.release();
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
