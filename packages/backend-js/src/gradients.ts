// The backward passes.
import { type Extent, type FloatArray, valuesPerChannel } from '@batchnorm/core-api';
import type { SavedForward } from './saved-forward.js';

/** dgamma = Σ dy · xHat, dbeta = Σ dy */
export function parameterGradients(
  { x, mean, invStd }: SavedForward,
  dy: FloatArray,
  { outer, channels, inner }: Extent,
  dgamma: Float64Array,
  dbeta: Float64Array,
): void {
  dgamma.fill(0);
  dbeta.fill(0);
  for (let o = 0, k = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < inner; i++, k++) {
        const g = dy[k]!;
        dbeta[c] = dbeta[c]! + g;
        dgamma[c] = dgamma[c]! + g * (x[k]! - mean[c]!) * invStd[c]!;
      }
}

/** dx = scale · (dy − dbeta/M − xHat · dgamma/M) */
export function inputGradient(
  { x, mean, invStd, scale }: SavedForward,
  dy: FloatArray,
  extent: Extent,
  dgamma: Float64Array,
  dbeta: Float64Array,
  dx: FloatArray,
): void {
  const { outer, channels, inner } = extent;
  const M = valuesPerChannel(extent);
  for (let o = 0, k = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < inner; i++, k++) {
        const xHat = (x[k]! - mean[c]!) * invStd[c]!;
        dx[k] = scale[c]! * (dy[k]! - dbeta[c]! / M - (xHat * dgamma[c]!) / M);
      }
}

/** dx = scale · dy */
export function scaledGradient({ scale }: SavedForward, dy: FloatArray, extent: Extent, dx: FloatArray): void {
  const { outer, channels, inner } = extent;
  for (let o = 0, k = 0; o < outer; o++)
    for (let c = 0; c < channels; c++) for (let i = 0; i < inner; i++, k++) dx[k] = scale[c]! * dy[k]!;
}
