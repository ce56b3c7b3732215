// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import type { Resident } from './resident.js';

/** x and the table of coefficients, both on the device and both this object's own. */
export class SavedForward implements Saved {
  readonly x: Resident;
  readonly coefficients: Resident;

  constructor(x: Resident, coefficients: Resident) {
    this.x = x;
    this.coefficients = coefficients;
  }

  dispose(): void {
    this.x.release();
    this.coefficients.release();
  }
}
