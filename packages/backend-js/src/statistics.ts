// Batch mean and population variance.
import { type Extent, type FloatArray, type Statistics, valuesPerChannel } from '@batchnorm/core-api';

export function batchStatistics(x: FloatArray, extent: Extent, { mean, variance }: Statistics): void {
  const { outer, channels, inner } = extent;
  const M = valuesPerChannel(extent);
  for (let c = 0; c < channels; c++) {
    let sum = 0;
    for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) sum += x[(o * channels + c) * inner + i]!;
    const m = sum / M;
    let m2 = 0;
    let m1 = 0;
    for (let o = 0; o < outer; o++)
      for (let i = 0; i < inner; i++) {
        const d = x[(o * channels + c) * inner + i]! - m;
        m1 += d;
        m2 += d * d;
      }
    mean[c] = m + m1 / M;
    variance[c] = (m2 - (m1 * m1) / M) / M;
  }
}
