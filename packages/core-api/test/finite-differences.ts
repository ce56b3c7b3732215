// Gradients by central differences, for comparison.
import type { FloatArray, Tensor } from '../src/index.js';

/** The derivative of `loss` by element k of `values`, which are as they were after it. */
export async function slope(loss: () => Promise<number>, values: FloatArray, k: number, step = 1e-6): Promise<number> {
  const before = values[k]!;
  values[k] = before + step;
  const above = await loss();
  values[k] = before - step;
  const below = await loss();
  values[k] = before;
  return (above - below) / (2 * step);
}

/** Σ y · dy: a loss whose gradient with respect to y is dy. */
export function dot({ data: y }: Tensor, { data: dy }: Tensor): number {
  let sum = 0;
  for (let k = 0; k < y.length; k++) sum += y[k]! * dy[k]!;
  return sum;
}
