// The hot loops where there is a residual, ReLU or a mask, for Float32Array activations; else those of
// loops.float32.ts, to which its remarks on strips and kinds of arrays apply. scripts/make-dtypes.mjs makes
// `gated.float64.ts` and `gated.float16.ts` from this file, and of `normalize` that without a residual, in `relu.*.ts`.
//
// Which values ReLU or a mask lets pass is as good as random: a branch would be predicted wrong every other time, which
// takes several times as long as all else. So both results are in an array, and the one that holds is read: the first is
// what passes, and those at all bits of a byte are the 0 of what does not.
//
// What ReLU left nothing of is `off`: a bit for each element, 8 of neighbouring channels (channels-last) or of
// neighbours in a run (channels-first) in a byte, and as many bytes for each row or run as that takes (`bytesOfOff`).
//
// What may be absent comes as an array and a number to take indices by: `off[q & o]` with o = −1 is off[q], and with
// o = 0 it is the only element of an array that stands for none. Of a residual, that would cost a fifteenth of the pass.
import type { Extent } from '@batchnorm/core-api';
import type { Block } from './blocks.js';

type Activation = Float32Array;
type Vector = Float64Array;

// V8 knows where an array is whose memory was made apart from it.
/** What passes ReLU, or the 0 of what does not. */
const passed: Activation = new Float32Array(new ArrayBuffer(2048));

/** How many bytes `off` takes. */
export function bytesOfOff({ outer, channels, inner }: Extent): number {
  return inner === 1 ? outer * bytesOf(channels) : outer * channels * bytesOf(inner);
}

function bytesOf(bits: number): number {
  return (bits + 7) >> 3;
}

/** z = (x − mean) · scale + shift + residual; off where z ≤ limit; y = z, or 0 where off. A limit of NaN: nowhere. */
// biome-ignore format: one line for one value
export function normalize(
  x: Activation, mean: Vector, scale: Vector, shift: Vector, residual: Activation, limit: number,
  off: Uint8Array, o: number, y: Activation,
  channels: number, inner: number, { first, position, length, step, count, next }: Block,
): void {
  const bytes = bytesOf(inner === 1 ? channels : inner);
  const [dq, dbit] = inner === 1 ? [bytes, 0] : [0, 1];
  const start = inner === 1 ? position * bytes : Math.floor(position / inner) * channels * bytes + ((position % inner) >> 3);
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
      for (let i = first + c, end = first + length * step, q = start + (c >> 3); i < end; i += step, q += bytes) {
        let w = 0;
        const z0 = (x[i]! - m0) * a0 + b0 + residual[i]!, f0 = +(z0 <= limit);
        passed[0] = z0; y[i] = passed[f0]!; w |= f0;
        const z1 = (x[i + 1]! - m1) * a1 + b1 + residual[i + 1]!, f1 = +(z1 <= limit);
        passed[0] = z1; y[i + 1] = passed[f1]!; w |= f1 << 1;
        const z2 = (x[i + 2]! - m2) * a2 + b2 + residual[i + 2]!, f2 = +(z2 <= limit);
        passed[0] = z2; y[i + 2] = passed[f2]!; w |= f2 << 2;
        const z3 = (x[i + 3]! - m3) * a3 + b3 + residual[i + 3]!, f3 = +(z3 <= limit);
        passed[0] = z3; y[i + 3] = passed[f3]!; w |= f3 << 3;
        const z4 = (x[i + 4]! - m4) * a4 + b4 + residual[i + 4]!, f4 = +(z4 <= limit);
        passed[0] = z4; y[i + 4] = passed[f4]!; w |= f4 << 4;
        const z5 = (x[i + 5]! - m5) * a5 + b5 + residual[i + 5]!, f5 = +(z5 <= limit);
        passed[0] = z5; y[i + 5] = passed[f5]!; w |= f5 << 5;
        const z6 = (x[i + 6]! - m6) * a6 + b6 + residual[i + 6]!, f6 = +(z6 <= limit);
        passed[0] = z6; y[i + 6] = passed[f6]!; w |= f6 << 6;
        const z7 = (x[i + 7]! - m7) * a7 + b7 + residual[i + 7]!, f7 = +(z7 <= limit);
        passed[0] = z7; y[i + 7] = passed[f7]!; w |= f7 << 7;
        off[q & o] = w;
      }
    }
  }
  for (; c < channels; c++) {
    const m = mean[c]!, a = scale[c]!, b = shift[c]!;
    for (let run = 0; run < count; run++) {
      let i = first + c * inner + run * next;
      let q = inner === 1 ? start + (c >> 3) : start + (run * channels + c) * bytes;
      const end = i + length * step;
      if (inner > 1) {
        for (; i + 7 < end; i += 8, q++) {
          let w = 0;
          const z0 = (x[i]! - m) * a + b + residual[i]!, f0 = +(z0 <= limit);
          passed[0] = z0; y[i] = passed[f0]!; w |= f0;
          const z1 = (x[i + 1]! - m) * a + b + residual[i + 1]!, f1 = +(z1 <= limit);
          passed[0] = z1; y[i + 1] = passed[f1]!; w |= f1 << 1;
          const z2 = (x[i + 2]! - m) * a + b + residual[i + 2]!, f2 = +(z2 <= limit);
          passed[0] = z2; y[i + 2] = passed[f2]!; w |= f2 << 2;
          const z3 = (x[i + 3]! - m) * a + b + residual[i + 3]!, f3 = +(z3 <= limit);
          passed[0] = z3; y[i + 3] = passed[f3]!; w |= f3 << 3;
          const z4 = (x[i + 4]! - m) * a + b + residual[i + 4]!, f4 = +(z4 <= limit);
          passed[0] = z4; y[i + 4] = passed[f4]!; w |= f4 << 4;
          const z5 = (x[i + 5]! - m) * a + b + residual[i + 5]!, f5 = +(z5 <= limit);
          passed[0] = z5; y[i + 5] = passed[f5]!; w |= f5 << 5;
          const z6 = (x[i + 6]! - m) * a + b + residual[i + 6]!, f6 = +(z6 <= limit);
          passed[0] = z6; y[i + 6] = passed[f6]!; w |= f6 << 6;
          const z7 = (x[i + 7]! - m) * a + b + residual[i + 7]!, f7 = +(z7 <= limit);
          passed[0] = z7; y[i + 7] = passed[f7]!; w |= f7 << 7;
          off[q & o] = w;
        }
      }
      for (let bit = inner === 1 ? c & 7 : 0; i < end; i += step, q += dq, bit += dbit) {
        const z = (x[i]! - m) * a + b + residual[i]!, f = +(z <= limit); passed[0] = z; y[i] = passed[f]!;
        off[q & o] = (off[q & o]! & ~(1 << bit)) | (f << bit);
      }
    }
  }
}

/** sum += Σ g, product += Σ g · (x − mean), where g is dy, or 0 where it is off. */
// biome-ignore format: one line for one value
export function gradientSums(
  x: Activation, mean: Vector, dy: Activation, off: Uint8Array, sum: Vector, product: Vector,
  channels: number, inner: number, { first, position, length, step, count, next }: Block,
): void {
  const bytes = bytesOf(inner === 1 ? channels : inner);
  const [dq, dbit] = inner === 1 ? [bytes, 0] : [0, 1];
  const start = inner === 1 ? position * bytes : Math.floor(position / inner) * channels * bytes + ((position % inner) >> 3);
  let c = 0;
  if (inner === 1) {
    for (; c + 4 <= channels; c += 4) {
      const m0 = mean[c]!, m1 = mean[c + 1]!, m2 = mean[c + 2]!, m3 = mean[c + 3]!;
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      let p0 = 0, p1 = 0, p2 = 0, p3 = 0;
      for (let i = first + c, end = first + length * step, q = start + (c >> 3); i < end; i += step, q += bytes) {
        const w = off[q]! >> (c & 4);
        taken[0] = dy[i]!; const g0 = taken[w & 1]!; s0 += g0; p0 += g0 * (x[i]! - m0);
        taken[0] = dy[i + 1]!; const g1 = taken[w & 2]!; s1 += g1; p1 += g1 * (x[i + 1]! - m1);
        taken[0] = dy[i + 2]!; const g2 = taken[w & 4]!; s2 += g2; p2 += g2 * (x[i + 2]! - m2);
        taken[0] = dy[i + 3]!; const g3 = taken[w & 8]!; s3 += g3; p3 += g3 * (x[i + 3]! - m3);
      }
      sum[c]! += s0; product[c]! += p0;
      sum[c + 1]! += s1; product[c + 1]! += p1;
      sum[c + 2]! += s2; product[c + 2]! += p2;
      sum[c + 3]! += s3; product[c + 3]! += p3;
    }
  }
  for (; c < channels; c++) {
    const m = mean[c]!;
    let s = 0, p = 0;
    for (let run = 0; run < count; run++) {
      let i = first + c * inner + run * next;
      let q = inner === 1 ? start + (c >> 3) : start + (run * channels + c) * bytes;
      const end = i + length * step;
      if (inner > 1) {
        for (; i + 7 < end; i += 8, q++) {
          const w = off[q]!;
          taken[0] = dy[i]!; const g0 = taken[w & 1]!, d0 = x[i]! - m;
          taken[0] = dy[i + 1]!; const g1 = taken[w & 2]!, d1 = x[i + 1]! - m;
          taken[0] = dy[i + 2]!; const g2 = taken[w & 4]!, d2 = x[i + 2]! - m;
          taken[0] = dy[i + 3]!; const g3 = taken[w & 8]!, d3 = x[i + 3]! - m;
          const s0 = g0 + g1 + (g2 + g3), p0 = g0 * d0 + g1 * d1 + (g2 * d2 + g3 * d3);
          taken[0] = dy[i + 4]!; const g4 = taken[w & 16]!, d4 = x[i + 4]! - m;
          taken[0] = dy[i + 5]!; const g5 = taken[w & 32]!, d5 = x[i + 5]! - m;
          taken[0] = dy[i + 6]!; const g6 = taken[w & 64]!, d6 = x[i + 6]! - m;
          taken[0] = dy[i + 7]!; const g7 = taken[w & 128]!, d7 = x[i + 7]! - m;
          s += s0 + (g4 + g5 + (g6 + g7)); p += p0 + (g4 * d4 + g5 * d5 + (g6 * d6 + g7 * d7));
        }
      }
      for (let bit = inner === 1 ? c & 7 : 0; i < end; i += step, q += dq, bit += dbit) {
        taken[0] = dy[i]!; const g = taken[off[q]! & (1 << bit)]!; s += g; p += g * (x[i]! - m);
      }
    }
    sum[c]! += s; product[c]! += p;
  }
}

/** The same in a sum, as a number. */
const taken: Vector = new Float64Array(new ArrayBuffer(2048));

/** The same as it is stored. */
const kept: Activation = new Float32Array(new ArrayBuffer(2048));

/**
 * g = dy, or 0 where it is off: `g` may be `dy`. Rows have it in a pass of its own: one that also wrote dx, both down a
 * strip, takes up to twice as long where a row is a power of two bytes. Of runs, `inputGradient` is the faster.
 */
// biome-ignore format: one line for one value
export function letThrough(
  dy: Activation, off: Uint8Array, g: Activation,
  channels: number, inner: number, { first, position, length, count }: Block,
): void {
  // Neighbours of one row, or of one run.
  const [runs, apart, size] = inner === 1 ? [length, channels, channels] : [count * channels, inner, length];
  const bytes = bytesOf(apart);
  let start = inner === 1 ? position * bytes : Math.floor(position / inner) * channels * bytes + ((position % inner) >> 3);
  for (let run = 0, begin = first; run < runs; run++, begin += apart, start += bytes) {
    const end = begin + size;
    let i = begin, q = start;
    for (; i + 7 < end; i += 8, q++) {
      const w = off[q]!;
      kept[0] = dy[i]!; g[i] = kept[w & 1]!;
      kept[0] = dy[i + 1]!; g[i + 1] = kept[w & 2]!;
      kept[0] = dy[i + 2]!; g[i + 2] = kept[w & 4]!;
      kept[0] = dy[i + 3]!; g[i + 3] = kept[w & 8]!;
      kept[0] = dy[i + 4]!; g[i + 4] = kept[w & 16]!;
      kept[0] = dy[i + 5]!; g[i + 5] = kept[w & 32]!;
      kept[0] = dy[i + 6]!; g[i + 6] = kept[w & 64]!;
      kept[0] = dy[i + 7]!; g[i + 7] = kept[w & 128]!;
    }
    for (let bit = 0; i < end; i++, bit++) { kept[0] = dy[i]!; g[i] = kept[off[q]! & (1 << bit)]!; }
  }
}

/**
 * dx = scale · (g − dyMean − (x − mean) · slope) and dresidual = g, of runs. Where nobody wants it, `dresidual` may be `dx`.
 */
// biome-ignore format: one line for one value
export function inputGradient(
  x: Activation, mean: Vector, dy: Activation, off: Uint8Array, scale: Vector, dyMean: Vector, slope: Vector,
  dx: Activation, dresidual: Activation,
  channels: number, inner: number, { first, position, length, count, next }: Block,
): void {
  const bytes = bytesOf(inner);
  const start = Math.floor(position / inner) * channels * bytes + ((position % inner) >> 3);
  for (let c = 0; c < channels; c++) {
    const m = mean[c]!, a = scale[c]!, b = dyMean[c]!, k = slope[c]!;
    for (let run = 0; run < count; run++) {
      let i = first + c * inner + run * next, q = start + (run * channels + c) * bytes;
      const end = i + length;
      for (; i + 7 < end; i += 8, q++) {
        const w = off[q]!;
        passed[0] = dy[i]!; const g0 = passed[w & 1]!;
        dresidual[i] = g0; dx[i] = a * (g0 - b - (x[i]! - m) * k);
        passed[0] = dy[i + 1]!; const g1 = passed[w & 2]!;
        dresidual[i + 1] = g1; dx[i + 1] = a * (g1 - b - (x[i + 1]! - m) * k);
        passed[0] = dy[i + 2]!; const g2 = passed[w & 4]!;
        dresidual[i + 2] = g2; dx[i + 2] = a * (g2 - b - (x[i + 2]! - m) * k);
        passed[0] = dy[i + 3]!; const g3 = passed[w & 8]!;
        dresidual[i + 3] = g3; dx[i + 3] = a * (g3 - b - (x[i + 3]! - m) * k);
        passed[0] = dy[i + 4]!; const g4 = passed[w & 16]!;
        dresidual[i + 4] = g4; dx[i + 4] = a * (g4 - b - (x[i + 4]! - m) * k);
        passed[0] = dy[i + 5]!; const g5 = passed[w & 32]!;
        dresidual[i + 5] = g5; dx[i + 5] = a * (g5 - b - (x[i + 5]! - m) * k);
        passed[0] = dy[i + 6]!; const g6 = passed[w & 64]!;
        dresidual[i + 6] = g6; dx[i + 6] = a * (g6 - b - (x[i + 6]! - m) * k);
        passed[0] = dy[i + 7]!; const g7 = passed[w & 128]!;
        dresidual[i + 7] = g7; dx[i + 7] = a * (g7 - b - (x[i + 7]! - m) * k);
      }
      for (let bit = 0; i < end; i++, bit++) {
        passed[0] = dy[i]!; const g = passed[off[q]! & (1 << bit)]!;
        dresidual[i] = g; dx[i] = a * (g - b - (x[i]! - m) * k);
      }
    }
  }
}

/** dx of a value that did not count, and of one that did. */
const either: Vector = new Float64Array(new ArrayBuffer(16));

/**
 * dx = scale · (dy − dyMean − (x − mean) · slope) where `counted` has a 1 for the position, and dx = scale · dy where it
 * has a 0. `counted[p & n]`, too, may stand for none.
 */
// biome-ignore format: one line for one value
export function maskedInputGradient(
  x: Activation, mean: Vector, dy: Activation, scale: Vector, dyMean: Vector, slope: Vector,
  counted: Uint8Array, n: number, dx: Activation,
  channels: number, inner: number, { first, position, length, step, count, next }: Block,
): void {
  for (let c = 0; c < channels; c++) {
    const m = mean[c]!, a = scale[c]!, b = dyMean[c]!, k = slope[c]!;
    for (let run = 0; run < count; run++) {
      const begin = position + run * inner;
      let i = first + c * inner + run * next;
      for (let p = begin; p < begin + length; p++, i += step) {
        const g = dy[i]!;
        either[0] = a * g; either[1] = a * (g - b - (x[i]! - m) * k);
        dx[i] = either[counted[p & n]!]!;
      }
    }
  }
}

/** Rows of channels, of the n elements of channel 0 at `places` and their neighbours in the other channels. */
// biome-ignore format: as the others
export function gather(
  x: Activation, places: Int32Array, n: number, rows: Activation,
  channels: number, inner: number,
): void {
  if (inner === 1) {
    for (let j = 0, k = 0; j < n; j++) {
      for (let i = places[j]!, end = i + channels; i < end; i++, k++) rows[k] = x[i]!;
    }
  } else {
    for (let c = 0; c < channels; c++) {
      for (let j = 0, k = c; j < n; j++, k += channels) rows[k] = x[places[j]! + c * inner]!;
    }
  }
}
