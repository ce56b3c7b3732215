// How far a calibration is: the moments of the batches so far, merged pairwise, and the same as plain JSON.
import { describe } from './describe.js';
import { type Moments, type MomentsState, merged, noMoments, readMoments, writeMoments } from './moments.js';
import { assertCount, refuseState } from './state-vectors.js';
import { readUntrusted } from './untrusted.js';

/**
 * Moments are merged as a binary counter counts, so that each batch takes part in at most ⌊log₂ batches⌋ + 1 merges,
 * and as many moments are kept.
 */
export interface Calibration {
  /** How many batches there were. */
  readonly batches: number;
  /** How many of them had values. */
  readonly batchesTracked: number;
  /** For each 1 of the binary number `batches`, from the left, the moments of as many batches, from the first one. */
  readonly partials: readonly Moments[];
}

/** Plain JSON, from which `calibrate` goes on to the same bits. */
export interface CalibrationCheckpoint {
  readonly formatVersion: 1;
  /** How many batches were seen: the next `calibrate` is given those that come after them. */
  readonly batches: number;
  /** How many of them had values. */
  readonly batchesTracked: number;
  /** For each 1 of the binary number `batches`, from the left, the moments of as many batches, from the first one. */
  readonly partials: readonly MomentsState[];
}

const formatVersion = 1;

/** Before the first batch. */
export const noBatches: Calibration = { batches: 0, batchesTracked: 0, partials: [] };

/** Errors: `NON_FINITE_STATISTICS` where float64 can't hold the moments of all. */
export function withBatch({ batches, batchesTracked, partials }: Calibration, batch: Moments): Calibration {
  const kept = [...partials];
  let carry = batch;
  for (let bits = batches; bits % 2 === 1; bits = (bits - 1) / 2) carry = merged(kept.pop()!, carry);
  return {
    batches: batches + 1,
    batchesTracked: batchesTracked + (batch.count > 0 ? 1 : 0),
    partials: [...kept, carry],
  };
}

/** The moments of all batches, in C channels. Errors: `NON_FINITE_STATISTICS` where float64 can't hold them. */
export function totalOf({ partials }: Calibration, C: number): Moments {
  return partials.reduceRight((later, earlier) => merged(earlier, later), noMoments(C));
}

/** How many values each channel had. */
export function valuesOf({ partials }: Calibration): number {
  return partials.reduce((sum, { count }) => sum + count, 0);
}

export function writeCheckpoint({ partials, ...counts }: Calibration): CalibrationCheckpoint {
  return { formatVersion, ...counts, partials: partials.map(writeMoments) };
}

/** What `writeCheckpoint` wrote of batches of C channels. Errors: `INVALID_STATE` for anything else. */
export function readCheckpoint(checkpoint: unknown, C: number): Calibration {
  return readUntrusted('INVALID_STATE', 'fields of a checkpoint', () => {
    if (typeof checkpoint !== 'object' || checkpoint === null) refuseState(describe(checkpoint), 'a checkpoint');
    // Every field is read once: a getter or proxy could answer the check with one value and the copy with another.
    const {
      formatVersion: version,
      batches,
      batchesTracked,
      partials,
    } = { ...(checkpoint as Record<string, unknown>) };
    if (version !== formatVersion) refuseState(`formatVersion ${describe(version)}`, `formatVersion ${formatVersion}`);
    assertCount('batches', batches);
    assertCount('batchesTracked', batchesTracked);
    const ones = batches.toString(2).replaceAll('0', '').length;
    if (!Array.isArray(partials) || partials.length !== ones) {
      refuseState(`partials ${describe(partials)}`, `an array of ${ones} moments, as of ${batches} batches`);
    }
    const calibration = { batches, batchesTracked, partials: Array.from(partials, (state) => readMoments(state, C)) };
    const values = valuesOf(calibration);
    assertCount('values per channel', values);
    if (batchesTracked > Math.min(batches, values) || (batchesTracked === 0 && values > 0)) {
      refuseState(
        `batchesTracked ${batchesTracked} of ${batches} batches and ${values} values`,
        'as many as batches with values',
      );
    }
    return calibration;
  });
}
