// The end of float64: where finite values have squares, or sums of squares, that are no numbers any more.
import { BatchNormError, type Extent, type FloatArray, type Statistics } from '@batchnorm/core-api';

/**
 * Errors: `NON_FINITE_STATISTICS` where a channel of finite values has a mean or variance that is not: y would be beta, which is
 * finite and wrong. A channel that is not finite itself is not refused here; what it has is NaN.
 */
export function assertInRange(x: FloatArray, extent: Extent, { mean, variance }: Statistics): void {
  for (let c = 0; c < extent.channels; c++) {
    if (Number.isFinite(mean[c]) && Number.isFinite(variance[c])) continue;
    if (!isFiniteChannel(x, extent, c)) continue;
    throw new BatchNormError(
      'NON_FINITE_STATISTICS',
      `received finite values of channel ${c} with mean ${mean[c]} and variance ${variance[c]}, ` +
        'expected values whose squares float64 can add up: deviations below 1e154/√M',
    );
  }
}

function isFiniteChannel(x: FloatArray, { outer, channels, inner }: Extent, c: number): boolean {
  for (let o = 0; o < outer; o++) {
    const begin = (o * channels + c) * inner;
    if (!x.subarray(begin, begin + inner).every(Number.isFinite)) return false;
  }
  return true;
}
