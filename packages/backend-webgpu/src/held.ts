// Whether float32 held what results on the host are made of. What is not finite in a channel is right where an input of
// that channel is not; else the call is refused.
import {
  type CountedPositions,
  type Extent,
  everyRun,
  type FloatArray,
  type Moments,
  refuse,
} from '@batchnorm/core-api';
import { fitsFloat32, leastVariance, type Normalizer } from '@batchnorm/core-api/float32-range';

/** Errors: `NON_FINITE_STATISTICS` where moments are not finite, or 0, and those of x are. */
export function assertMomentsHeld(
  extent: Extent,
  x: FloatArray,
  mask: CountedPositions | undefined,
  { mean, m2 }: Moments,
  epsilon: number,
): void {
  for (let c = 0; c < mean.length; c++) {
    const areFinite = Number.isFinite(mean[c]) && Number.isFinite(m2[c]);
    const isSuspect = !areFinite || (m2[c] === 0 && epsilon < leastVariance && !isConstant(x, extent, c, mask));
    if (isSuspect && largest(x, extent, c, mask) < Number.POSITIVE_INFINITY) {
      refuse(
        'NON_FINITE_STATISTICS',
        `a batch whose squares of deviations in channel ${c} add up to ${m2[c]} in float32`,
        'what float32 can hold',
      );
    }
  }
}

/** Errors: `NON_FINITE_STATISTICS` for finite vectors by which float32 can't normalise a channel. */
export function assertNormalizerHeld(by: Normalizer): void {
  const [lost] = lostChannels(by);
  if (lost === undefined) return;
  const { mean, invStd, gamma, beta } = by;
  refuse(
    'NON_FINITE_STATISTICS',
    `mean ${mean[lost]} and 1/√(variance + epsilon) ${invStd[lost]} in channel ${lost}, with gamma ${gamma[lost]} and beta ${beta[lost]}`,
    'what float32 can normalise',
  );
}

/** The channels whose vectors are finite, and by which float32 can't normalise. */
export function lostChannels(by: Normalizer): number[] {
  const vectors = [by.mean, by.invStd, by.gamma, by.beta];
  const lost: number[] = [];
  for (let c = 0; c < by.mean.length; c++) {
    if (!fitsFloat32(by, c) && vectors.every((vector) => Number.isFinite(vector[c]))) lost.push(c);
  }
  return lost;
}

/** The largest size of a value that counts; NaN if one is NaN. */
function largest(values: FloatArray, extent: Extent, c: number, mask?: CountedPositions): number {
  let most = 0;
  const look = (run: Float32Array | Float64Array) => {
    for (const value of run) most = Math.max(most, Math.abs(value));
    return true;
  };
  everyRun(values, extent, c, look, mask);
  return most;
}

function isConstant(values: FloatArray, extent: Extent, c: number, mask: CountedPositions | undefined): boolean {
  const seen = new Set<number>();
  return everyRun(values, extent, c, (run) => run.every((value) => seen.add(value).size === 1), mask);
}
