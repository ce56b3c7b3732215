// What a forward keeps for its backward.
import type { Saved } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import type { DeviceBuffer } from './device-buffer.js';

export interface Kept {
  /** Its buffer is x's: x does not change until the backward. */
  readonly x: DeviceBuffer;
  /** The table by which it normalised. */
  readonly coefficients: DeviceBuffer;
  /** What ReLU let pass. */
  readonly gate: DeviceBuffer | undefined;
  /** Which values had a part in the statistics: on the device; undefined: all. */
  readonly mask: DeviceBuffer | undefined;
  /** How many values were normalised together; with given statistics, how many there were. */
  readonly count: number;
  readonly hasResidual: boolean;
}

export class SavedForward implements Saved {
  readonly kept: Kept;
  readonly #held: readonly DeviceBuffer[];

  /** It has references to the buffers from now on. */
  constructor(kept: Kept) {
    this.kept = kept;
    this.#held = [kept.x, kept.coefficients, kept.gate, kept.mask].filter((buffer) => buffer !== undefined);
    releaseWhenDropped(this, ...this.#held);
  }

  dispose(): void {
    releasedByOwner(this);
    for (const buffer of this.#held) buffer.release();
  }
}
