// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from './finalization.js';
import type { OnHost } from './redo.js';
import type { Resident } from './resident.js';

/** x and the table of coefficients, both on the device and both this object's own. */
export class SavedForward implements Saved {
  readonly x: Resident;
  readonly coefficients: Resident;
  /** Undefined where nobody waited for results. */
  readonly onHost: OnHost | undefined;

  constructor(x: Resident, coefficients: Resident, onHost?: OnHost) {
    this.x = x;
    this.coefficients = coefficients;
    this.onHost = onHost;
    releaseWhenDropped(this, x, coefficients);
  }

  dispose(): void {
    releasedByOwner(this);
    this.x.release();
    this.coefficients.release();
  }
}
