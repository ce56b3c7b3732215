// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import type { DeviceArray } from './device-array.js';
import type { DeviceMask } from './device-mask.js';
import type { Redone } from './redo.js';
import type { Scope } from './scope.js';

/** What a backward needs of its forward. */
export interface Kept {
  readonly x: DeviceArray;
  /** The table by which it normalised. */
  readonly coefficients: DeviceArray;
  /** How many values were normalised together; with given statistics, how many there were. */
  readonly M: number;
  /** Which values had a part in the statistics; undefined: all. */
  readonly mask: DeviceMask | undefined;
  readonly hasResidual: boolean;
  /** Only behind a nonlinearity, and where the host may compute z. */
  readonly residual: DeviceArray | undefined;
  /** Only behind a nonlinearity, and where nobody can write to what a kernel has written: on devices. */
  readonly y: DeviceArray | undefined;
  /** Undefined on devices, where no forward waits for results that the host could look at. */
  readonly redone: Redone | undefined;
}

/** The same for one call: whoever calls lets its arrays go. */
export type Forward = Kept & Saved;

/** Arrays on the device by references of its own. */
export class SavedForward implements Saved {
  readonly #kept: Kept;
  readonly #held: DeviceArray[] = [];

  constructor(kept: Kept) {
    this.#kept = referring(kept, (array) => {
      const own = array.retain();
      this.#held.push(own);
      return own;
    });
    releaseWhenDropped(this, ...this.#held);
  }

  /** By references of a call's own, which are the scope's: meanwhile the saved forward may be disposed. */
  static retained(saved: Saved, scope: Scope): Forward {
    return { ...referring((saved as SavedForward).#kept, (array) => scope.retain(array)), dispose() {} };
  }

  dispose(): void {
    releasedByOwner(this);
    for (const array of this.#held) array.release();
  }
}

/** `kept` with other references to its arrays. */
function referring(kept: Kept, refer: (array: DeviceArray) => DeviceArray): Kept {
  const { x, coefficients, mask, residual, y } = kept;
  return {
    ...kept,
    x: refer(x),
    coefficients: refer(coefficients),
    mask: mask && { ...mask, array: refer(mask.array) },
    residual: residual && refer(residual),
    y: y && refer(y),
  };
}
