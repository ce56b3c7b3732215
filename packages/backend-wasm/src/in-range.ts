// Where float64 ends: finite values whose sums and squares it can't hold are refused.
import {
  type CountedPositions,
  type Extent,
  everyRun,
  type FloatArray,
  type Moments,
  refuse,
  type Statistics,
} from '@batchnorm/core-api';
import { leastProductFloat64 } from './abi/accumulation.js';

/**
 * The variance m2 / count of each channel. NaN, so that y will be, where float64 can't have it with its digits and the
 * values of `x` that count, which it is to normalise, are not all the mean: kernels give such moments, and merging makes others.
 */
export function batchVariance(
  { count, mean, m2 }: Moments,
  epsilon: number,
  x: () => FloatArray,
  extent: Extent,
  mask: CountedPositions | undefined,
): Float64Array {
  return m2.map((sum, c) => {
    const variance = sum / count;
    const square = variance + epsilon;
    const isHeld = square >= leastProductFloat64 && square < Number.POSITIVE_INFINITY;
    const isMean = (run: FloatArray) => run.every((value: number) => value === mean[c]);
    return isHeld || everyRun(x(), extent, c, isMean, mask) ? variance : Number.NaN;
  });
}

/**
 * Errors: `NON_FINITE_STATISTICS` where a channel of finite `values`, those that count if there is a mask, has sums that
 * are not: they are beyond float64. Channels whose forward was not finite are not asked.
 */
export function assertInRange(
  sums: Readonly<Record<string, Float64Array>>,
  values: readonly FloatArray[],
  extent: Extent,
  { forward, mask }: { readonly forward?: Statistics; readonly mask?: CountedPositions | undefined },
): void {
  for (const [name, sum] of Object.entries(sums)) {
    for (let c = 0; c < extent.channels; c++) {
      if (Number.isFinite(sum[c]) || !Number.isFinite(forward?.variance[c] ?? 0)) continue;
      const areFinite = (one: FloatArray) => everyRun(one, extent, c, (run) => run.every(Number.isFinite), mask);
      if (!values.every(areFinite)) continue;
      refuse(
        'NON_FINITE_STATISTICS',
        `finite values whose ${name} of channel ${c} is ${sum[c]}`,
        'values that float64 can add up, and their squares',
      );
    }
  }
}
