// The hot loops, for Float32Array activations. scripts/make-dtypes.mjs makes `loops.float64.ts` and `loops.float16.ts` from
// this file: V8 keeps one set of observed types for each function of the source, and a loop that has seen two kinds of
// array checks the kind at every element, which makes it up to twice as slow.
//
// Each function is one pass over one block, and has two loops:
//
// - Channels-last, the first goes down a strip of neighbouring channels, with their sums or coefficients in local
//   variables. A strip of passes that add up has three channels, because more sums would not stay in registers. One of
//   passes that write has eight, because narrower strips hit the same cache sets again and again where a row's bytes
//   are a power of two.
// - The second goes along one channel: channels-first, and for the channels that do not fill a strip. It is unrolled,
//   and adds sums as a tree.
//
// Every index is in bounds, which TypeScript can't know: hence the `!`, which does nothing at run time.
import type { Block } from './blocks.js';

type Activation = Float32Array;
type Vector = Float64Array;

/** sum += Σ (x − pivot), squares += Σ (x − pivot)² */
// biome-ignore format: one line for one channel
export function moments(
  x: Activation, pivot: Vector, sum: Vector, squares: Vector,
  channels: number, inner: number, { first, length, step, count, next }: Block,
): void {
  let c = 0;
  if (inner === 1) {
    for (; c + 3 <= channels; c += 3) {
      const p0 = pivot[c]!, p1 = pivot[c + 1]!, p2 = pivot[c + 2]!;
      let s0 = 0, s1 = 0, s2 = 0;
      let q0 = 0, q1 = 0, q2 = 0;
      for (let i = first + c, end = first + length * step; i < end; i += step) {
        const d0 = x[i]! - p0, d1 = x[i + 1]! - p1, d2 = x[i + 2]! - p2;
        s0 += d0; q0 += d0 * d0;
        s1 += d1; q1 += d1 * d1;
        s2 += d2; q2 += d2 * d2;
      }
      sum[c]! += s0; squares[c]! += q0;
      sum[c + 1]! += s1; squares[c + 1]! += q1;
      sum[c + 2]! += s2; squares[c + 2]! += q2;
    }
  }
  for (; c < channels; c++) {
    const p = pivot[c]!;
    let s = 0, q = 0;
    for (let run = 0, start = first + c * inner; run < count; run++, start += next) {
      const end = start + length * step;
      let i = start;
      while (i + 3 * step < end) {
        const d0 = x[i]! - p; i += step;
        const d1 = x[i]! - p; i += step;
        const d2 = x[i]! - p; i += step;
        const d3 = x[i]! - p; i += step;
        s += d0 + d1 + (d2 + d3);
        q += d0 * d0 + d1 * d1 + (d2 * d2 + d3 * d3);
      }
      for (; i < end; i += step) {
        const d = x[i]! - p;
        s += d; q += d * d;
      }
    }
    sum[c]! += s; squares[c]! += q;
  }
}

/** sum += Σ dy, product += Σ dy · (x − mean) */
// biome-ignore format: one line for one channel
export function gradientSums(
  x: Activation, mean: Vector, dy: Activation, sum: Vector, product: Vector,
  channels: number, inner: number, { first, length, step, count, next }: Block,
): void {
  let c = 0;
  if (inner === 1) {
    for (; c + 3 <= channels; c += 3) {
      const m0 = mean[c]!, m1 = mean[c + 1]!, m2 = mean[c + 2]!;
      let s0 = 0, s1 = 0, s2 = 0;
      let p0 = 0, p1 = 0, p2 = 0;
      for (let i = first + c, end = first + length * step; i < end; i += step) {
        const g0 = dy[i]!, g1 = dy[i + 1]!, g2 = dy[i + 2]!;
        s0 += g0; p0 += g0 * (x[i]! - m0);
        s1 += g1; p1 += g1 * (x[i + 1]! - m1);
        s2 += g2; p2 += g2 * (x[i + 2]! - m2);
      }
      sum[c]! += s0; product[c]! += p0;
      sum[c + 1]! += s1; product[c + 1]! += p1;
      sum[c + 2]! += s2; product[c + 2]! += p2;
    }
  }
  for (; c < channels; c++) {
    const m = mean[c]!;
    let s = 0, p = 0;
    for (let run = 0, start = first + c * inner; run < count; run++, start += next) {
      const end = start + length * step;
      let i = start;
      while (i + 3 * step < end) {
        const g0 = dy[i]!, d0 = x[i]! - m; i += step;
        const g1 = dy[i]!, d1 = x[i]! - m; i += step;
        const g2 = dy[i]!, d2 = x[i]! - m; i += step;
        const g3 = dy[i]!, d3 = x[i]! - m; i += step;
        s += g0 + g1 + (g2 + g3);
        p += g0 * d0 + g1 * d1 + (g2 * d2 + g3 * d3);
      }
      for (; i < end; i += step) {
        const g = dy[i]!;
        s += g; p += g * (x[i]! - m);
      }
    }
    sum[c]! += s; product[c]! += p;
  }
}

/** y = (x − mean) · scale + shift */
// biome-ignore format: one line for one channel
export function normalize(
  x: Activation, mean: Vector, scale: Vector, shift: Vector, y: Activation,
  channels: number, inner: number, { first, length, step, count, next }: Block,
): void {
  let c = 0;
  if (inner === 1) {
    for (; c + 8 <= channels; c += 8) {
      const m0 = mean[c]!, a0 = scale[c]!, b0 = shift[c]!;
      const m1 = mean[c + 1]!, a1 = scale[c + 1]!, b1 = shift[c + 1]!;
      const m2 = mean[c + 2]!, a2 = scale[c + 2]!, b2 = shift[c + 2]!;
      const m3 = mean[c + 3]!, a3 = scale[c + 3]!, b3 = shift[c + 3]!;
      const m4 = mean[c + 4]!, a4 = scale[c + 4]!, b4 = shift[c + 4]!;
      const m5 = mean[c + 5]!, a5 = scale[c + 5]!, b5 = shift[c + 5]!;
      const m6 = mean[c + 6]!, a6 = scale[c + 6]!, b6 = shift[c + 6]!;
      const m7 = mean[c + 7]!, a7 = scale[c + 7]!, b7 = shift[c + 7]!;
      for (let i = first + c, end = first + length * step; i < end; i += step) {
        y[i] = (x[i]! - m0) * a0 + b0;
        y[i + 1] = (x[i + 1]! - m1) * a1 + b1;
        y[i + 2] = (x[i + 2]! - m2) * a2 + b2;
        y[i + 3] = (x[i + 3]! - m3) * a3 + b3;
        y[i + 4] = (x[i + 4]! - m4) * a4 + b4;
        y[i + 5] = (x[i + 5]! - m5) * a5 + b5;
        y[i + 6] = (x[i + 6]! - m6) * a6 + b6;
        y[i + 7] = (x[i + 7]! - m7) * a7 + b7;
      }
    }
  }
  for (; c < channels; c++) {
    const m = mean[c]!, a = scale[c]!, b = shift[c]!;
    for (let run = 0, start = first + c * inner; run < count; run++, start += next) {
      const end = start + length * step;
      let i = start;
      while (i + 7 * step < end) {
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
        y[i] = (x[i]! - m) * a + b; i += step;
      }
      for (; i < end; i += step) y[i] = (x[i]! - m) * a + b;
    }
  }
}

/** dx = scale · (dy − dyMean − (x − mean) · slope) */
// biome-ignore format: one line for one channel
export function inputGradient(
  x: Activation, mean: Vector, dy: Activation, scale: Vector, dyMean: Vector, slope: Vector, dx: Activation,
  channels: number, inner: number, { first, length, step, count, next }: Block,
): void {
  let c = 0;
  if (inner === 1) {
    for (; c + 8 <= channels; c += 8) {
      const m0 = mean[c]!, a0 = scale[c]!, b0 = dyMean[c]!, k0 = slope[c]!;
      const m1 = mean[c + 1]!, a1 = scale[c + 1]!, b1 = dyMean[c + 1]!, k1 = slope[c + 1]!;
      const m2 = mean[c + 2]!, a2 = scale[c + 2]!, b2 = dyMean[c + 2]!, k2 = slope[c + 2]!;
      const m3 = mean[c + 3]!, a3 = scale[c + 3]!, b3 = dyMean[c + 3]!, k3 = slope[c + 3]!;
      const m4 = mean[c + 4]!, a4 = scale[c + 4]!, b4 = dyMean[c + 4]!, k4 = slope[c + 4]!;
      const m5 = mean[c + 5]!, a5 = scale[c + 5]!, b5 = dyMean[c + 5]!, k5 = slope[c + 5]!;
      const m6 = mean[c + 6]!, a6 = scale[c + 6]!, b6 = dyMean[c + 6]!, k6 = slope[c + 6]!;
      const m7 = mean[c + 7]!, a7 = scale[c + 7]!, b7 = dyMean[c + 7]!, k7 = slope[c + 7]!;
      for (let i = first + c, end = first + length * step; i < end; i += step) {
        dx[i] = a0 * (dy[i]! - b0 - (x[i]! - m0) * k0);
        dx[i + 1] = a1 * (dy[i + 1]! - b1 - (x[i + 1]! - m1) * k1);
        dx[i + 2] = a2 * (dy[i + 2]! - b2 - (x[i + 2]! - m2) * k2);
        dx[i + 3] = a3 * (dy[i + 3]! - b3 - (x[i + 3]! - m3) * k3);
        dx[i + 4] = a4 * (dy[i + 4]! - b4 - (x[i + 4]! - m4) * k4);
        dx[i + 5] = a5 * (dy[i + 5]! - b5 - (x[i + 5]! - m5) * k5);
        dx[i + 6] = a6 * (dy[i + 6]! - b6 - (x[i + 6]! - m6) * k6);
        dx[i + 7] = a7 * (dy[i + 7]! - b7 - (x[i + 7]! - m7) * k7);
      }
    }
  }
  for (; c < channels; c++) {
    const m = mean[c]!, a = scale[c]!, b = dyMean[c]!, k = slope[c]!;
    for (let run = 0, start = first + c * inner; run < count; run++, start += next) {
      const end = start + length * step;
      let i = start;
      while (i + 7 * step < end) {
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
        dx[i] = a * (dy[i]! - b - (x[i]! - m) * k); i += step;
      }
      for (; i < end; i += step) dx[i] = a * (dy[i]! - b - (x[i]! - m) * k);
    }
  }
}
