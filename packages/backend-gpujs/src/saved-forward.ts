// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import type { DeviceArray } from './device-array.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import type { Redone } from './redo.js';
import type { Scope } from './scope.js';

/** What a backward needs of its forward. */
export interface Forward extends Saved {
  readonly x: DeviceArray;
  /** The table by which it normalised. */
  readonly coefficients: DeviceArray;
  /** How many values were normalised together; with given statistics, how many there were. */
  readonly M: number;
  /** Undefined on devices, where no forward waits for results that the host could look at. */
  readonly redone: Redone | undefined;
}

/** x and the table of coefficients, on the device, by references of its own. */
export class SavedForward implements Forward {
  readonly x: DeviceArray;
  readonly coefficients: DeviceArray;
  readonly M: number;
  readonly redone: Redone | undefined;

  constructor(x: DeviceArray, coefficients: DeviceArray, M: number, redone: Redone | undefined) {
    this.x = x;
    this.coefficients = coefficients;
    this.M = M;
    this.redone = redone;
    releaseWhenDropped(this, x, coefficients);
  }

  /** The same by references of a call's own, which are the scope's: meanwhile the saved forward may be disposed. */
  static retained(saved: Saved, scope: Scope): Forward {
    const { x, coefficients, M, redone } = saved as SavedForward;
    return { x: scope.retain(x), coefficients: scope.retain(coefficients), M, redone, dispose() {} };
  }

  dispose(): void {
    releasedByOwner(this);
    this.x.release();
    this.coefficients.release();
  }
}
