// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import type { DeviceArray } from './device-array.js';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import type { Redone } from './redo.js';

/** x and the table of coefficients, on the device, by references of its own. */
export class SavedForward implements Saved {
  readonly x: DeviceArray;
  readonly coefficients: DeviceArray;
  /** Undefined on devices, where no forward waits for results that the host could look at. */
  readonly redone: Redone | undefined;

  constructor(x: DeviceArray, coefficients: DeviceArray, redone?: Redone) {
    this.x = x;
    this.coefficients = coefficients;
    this.redone = redone;
    releaseWhenDropped(this, x, coefficients);
  }

  dispose(): void {
    releasedByOwner(this);
    this.x.release();
    this.coefficients.release();
  }
}
