// y = (x − mean) · scale + beta
import type { Extent, FloatArray } from '@batchnorm/core-api';
import type { SavedForward } from './saved-forward.js';

export function normalize({ x, mean, scale }: SavedForward, beta: Float64Array, extent: Extent, y: FloatArray): void {
  const { outer, channels, inner } = extent;
  for (let o = 0, k = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) {
      const m = mean[c]!;
      const s = scale[c]!;
      const b = beta[c]!;
      for (let i = 0; i < inner; i++, k++) y[k] = (x[k]! - m) * s + b;
    }
}
