// Passes over a run of a channels-first activation: `count` elements of one channel, neighbours from `x` on. Sums of
// float32 take eight vectors at a time as a tree, and add that up in float64 (docs/numerics.md). `side`, `gate` and names
// of vectors are those of channels-last.ts.
// biome-ignore-all format: one line for one vector
import * as elementWise from './element-wise';
import { behind, behindPair, bitsOfPair, lanesOf } from './gate';
import {
  multiplyAdd, numberAt, pairAt, singleAt, storeNumber, storeTwo, storeVector, sumOfSquares, tree, treeOfFour, upperPair,
  vectorAt, vectorBytes,
} from './vectors';

/** Adds both lanes of `pair` to the float64 at `at`. */
/* @inline */ function addTotal(at: usize, pair: v128): void {
  store<f64>(at, load<f64>(at) + (f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1)));
}

/** *sum += Σ (x − pivot), *squares += Σ (x − pivot)² */
export function moments<S, T>(x: usize, count: i32, inFloat64: bool, pivot: T, sum: usize, squares: usize): void {
  let s0 = f64x2.splat(0), s1 = s0, q0 = s0, q1 = s0;
  const end = x + <usize>count * sizeof<S>();
  if (sizeof<T>() == 4 && !inFloat64) {
    const p = f32x4.splat(<f32>pivot);
    for (; x + 8 * vectorBytes<S>() <= end; x += 8 * vectorBytes<S>()) {
      const d0 = f32x4.sub(vectorAt<S>(x), p);
      const d1 = f32x4.sub(vectorAt<S>(x, 1), p);
      const d2 = f32x4.sub(vectorAt<S>(x, 2), p);
      const d3 = f32x4.sub(vectorAt<S>(x, 3), p);
      const d4 = f32x4.sub(vectorAt<S>(x, 4), p);
      const d5 = f32x4.sub(vectorAt<S>(x, 5), p);
      const d6 = f32x4.sub(vectorAt<S>(x, 6), p);
      const d7 = f32x4.sub(vectorAt<S>(x, 7), p);
      const s = tree(d0, d1, d2, d3, d4, d5, d6, d7);
      const q = treeOfFour(sumOfSquares(d0, d1), sumOfSquares(d2, d3), sumOfSquares(d4, d5), sumOfSquares(d6, d7));
      s0 = f64x2.add(s0, f64x2.promote_low_f32x4(s));
      s1 = f64x2.add(s1, upperPair(s));
      q0 = f64x2.add(q0, f64x2.promote_low_f32x4(q));
      q1 = f64x2.add(q1, upperPair(q));
    }
  }
  const p = f64x2.splat(<f64>pivot);
  for (; x + 4 * sizeof<S>() <= end; x += 4 * sizeof<S>()) {
    const d0 = f64x2.sub(pairAt<S>(x), p);
    const d1 = f64x2.sub(pairAt<S>(x, 2), p);
    s0 = f64x2.add(s0, d0);
    s1 = f64x2.add(s1, d1);
    q0 = f64x2.add(q0, f64x2.mul(d0, d0));
    q1 = f64x2.add(q1, f64x2.mul(d1, d1));
  }
  for (; x < end; x += sizeof<S>()) {
    const d = f64x2.replace_lane(f64x2.splat(0), 0, <f64>numberAt<S, T>(x) - <f64>pivot);
    s0 = f64x2.add(s0, d);
    q0 = f64x2.add(q0, f64x2.mul(d, d));
  }
  addTotal(sum, f64x2.add(s0, s1));
  addTotal(squares, f64x2.add(q0, q1));
}

/** *sum += Σ g, *products += Σ g · (x − pivot), of g = dy behind the gate. `x` is the first of a vector. */
export function gradientSums<S, T>(
  x: usize, dy: usize, gate: usize, count: i32, inFloat64: bool, pivot: T, sum: usize, products: usize,
): void {
  if (gate != 0) sumsOf<S, T>(x, dy, gate, count, inFloat64, pivot, sum, products, true);
  else sumsOf<S, T>(x, dy, 0, count, inFloat64, pivot, sum, products, false);
}

/* @inline */ function sumsOf<S, T>(
  x: usize, dy: usize, gate: usize, count: i32, inFloat64: bool, pivot: T, sum: usize, products: usize, isGated: bool,
): void {
  let s0 = f64x2.splat(0), s1 = s0, p0 = s0, p1 = s0;
  const end = x + <usize>count * sizeof<S>();
  const toDy = dy - x;
  if (sizeof<T>() == 4 && !inFloat64) {
    const h = f32x4.splat(<f32>pivot);
    while (x + 8 * vectorBytes<S>() <= end) {
      let g = f32x4.splat(0), d = g;
      // Twice four vectors: eight at once do not fit the registers.
      for (const last = x + 8 * vectorBytes<S>(); x < last; x += 4 * vectorBytes<S>()) {
        const at = x + toDy;
        let g0 = vectorAt<S>(at), g1 = vectorAt<S>(at, 1), g2 = vectorAt<S>(at, 2), g3 = vectorAt<S>(at, 3);
        if (isGated) {
          g0 = behind<f32>(g0, gate);
          g1 = behind<f32>(g1, gate + 1);
          g2 = behind<f32>(g2, gate + 2);
          g3 = behind<f32>(g3, gate + 3);
          gate += 4;
        }
        const d0 = f32x4.mul(g0, f32x4.sub(vectorAt<S>(x), h));
        const d1 = f32x4.mul(g1, f32x4.sub(vectorAt<S>(x, 1), h));
        const d2 = f32x4.mul(g2, f32x4.sub(vectorAt<S>(x, 2), h));
        const d3 = f32x4.mul(g3, f32x4.sub(vectorAt<S>(x, 3), h));
        g = f32x4.add(g, f32x4.add(f32x4.add(g0, g1), f32x4.add(g2, g3)));
        d = f32x4.add(d, f32x4.add(f32x4.add(d0, d1), f32x4.add(d2, d3)));
      }
      s0 = f64x2.add(s0, f64x2.promote_low_f32x4(g));
      s1 = f64x2.add(s1, upperPair(g));
      p0 = f64x2.add(p0, f64x2.promote_low_f32x4(d));
      p1 = f64x2.add(p1, upperPair(d));
    }
  }
  const h = f64x2.splat(<f64>pivot);
  const low = bitsOfPair(0), high = sizeof<T>() == 4 ? bitsOfPair(2) : low;
  for (; x + 4 * sizeof<S>() <= end; x += 4 * sizeof<S>()) {
    let g0 = pairAt<S>(x + toDy);
    let g1 = pairAt<S>(x + toDy, 2);
    if (isGated) {
      g0 = behindPair(g0, gate, low);
      g1 = behindPair(g1, sizeof<T>() == 4 ? gate : gate + 1, high);
      gate += 4 / lanesOf<T>();
    }
    s0 = f64x2.add(s0, g0);
    s1 = f64x2.add(s1, g1);
    p0 = f64x2.add(p0, f64x2.mul(g0, f64x2.sub(pairAt<S>(x), h)));
    p1 = f64x2.add(p1, f64x2.mul(g1, f64x2.sub(pairAt<S>(x, 2), h)));
  }
  for (let lane = 0; x < end; x += sizeof<S>(), lane++) {
    let g = singleAt<S>(x + toDy);
    if (isGated) g = behindPair(g, gate + lane / lanesOf<T>(), bitsOfPair(lane % lanesOf<T>()));
    s0 = f64x2.add(s0, g);
    p0 = f64x2.add(p0, f64x2.mul(g, f64x2.sub(singleAt<S>(x), h)));
  }
  addTotal(sum, f64x2.add(s0, s1));
  addTotal(products, f64x2.add(p0, p1));
}

/** y = (x − pivot) · scale + shift */
export function normalize<S, T extends number>(x: usize, y: usize, count: i32, pivot: T, scale: T, shift: T): void {
  const h = v128.splat<T>(pivot), a = v128.splat<T>(scale), b = v128.splat<T>(shift);
  const bytes = vectorBytes<S>();
  const end = x + <usize>count * sizeof<S>();
  for (; x + 4 * bytes <= end; x += 4 * bytes, y += 4 * bytes) {
    const y0 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), a, b);
    const y1 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 1), h), a, b);
    storeTwo<S>(y, y0, y1);
    const y2 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 2), h), a, b);
    const y3 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 3), h), a, b);
    storeTwo<S>(y, y2, y3, 2);
  }
  for (; x + bytes <= end; x += bytes, y += bytes) {
    storeVector<S>(y, multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), a, b));
  }
  for (; x < end; x += sizeof<S>(), y += sizeof<S>()) {
    storeNumber<S, T>(y, <T>((numberAt<S, T>(x) - pivot) * scale + shift));
  }
}

/** dx = scale · (dy − ((x − pivot) · slope + offset)) */
export function inputGradient<S, T extends number>(
  x: usize, dy: usize, dx: usize, count: i32, pivot: T, scale: T, slope: T, offset: T,
): void {
  const h = v128.splat<T>(pivot), a = v128.splat<T>(scale), k = v128.splat<T>(slope), b = v128.splat<T>(offset);
  const bytes = vectorBytes<S>();
  const end = x + <usize>count * sizeof<S>();
  const toDy = dy - x;
  const toDx = dx - x;
  for (; x + 2 * bytes <= end; x += 2 * bytes) {
    const t0 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), k, b);
    const t1 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 1), h), k, b);
    const dx0 = v128.mul<T>(a, v128.sub<T>(vectorAt<S>(x + toDy), t0));
    const dx1 = v128.mul<T>(a, v128.sub<T>(vectorAt<S>(x + toDy, 1), t1));
    storeTwo<S>(x + toDx, dx0, dx1);
  }
  for (; x + bytes <= end; x += bytes) {
    const t = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), k, b);
    storeVector<S>(x + toDx, v128.mul<T>(a, v128.sub<T>(vectorAt<S>(x + toDy), t)));
  }
  for (; x < end; x += sizeof<S>()) {
    const t = (numberAt<S, T>(x) - pivot) * slope + offset;
    storeNumber<S, T>(x + toDx, <T>(scale * (numberAt<S, T>(x + toDy) - t)));
  }
}

/** y = (x − pivot) · scale + shift + side, behind the gate, which it writes. `x` is the first of a vector. */
export function affine<S, T extends number>(
  x: usize, y: usize, side: usize, gate: usize, count: i32, pivot: T, scale: T, shift: T,
): void {
  const h = v128.splat<T>(pivot), a = v128.splat<T>(scale), b = v128.splat<T>(shift);
  const bytes = vectorBytes<S>();
  const toY = y - x, toSide = side - x, hasSide = side != 0, hasGate = gate != 0;
  const end = x + <usize>count * sizeof<S>();
  if (sizeof<T>() == 4) for (; x + 2 * bytes <= end; x += 2 * bytes, gate += 2) {
    elementWise.affineOfTwo<S, T>(x, toY, toSide, gate, h, h, a, a, b, b, hasSide, hasGate);
  }
  for (; x + bytes <= end; x += bytes, gate++) {
    elementWise.affine<S, T>(x, toY, toSide, gate, h, a, b, hasSide, hasGate);
  }
  for (let lane = 0; x < end; x += sizeof<S>(), lane++) {
    elementWise.affineOnly<S, T>(x, toY, toSide, gate, lane, h, a, b, hasSide, hasGate, false);
  }
}

/**
 * dx = scale · (g − ((x − pivot) · slope + offset)), of g = dy behind the gate, which goes to `side`; `lane` as in
 * `letThrough`.
 */
export function gradient<S, T extends number>(
  x: usize, dy: usize, dx: usize, side: usize, gate: usize, lane: i32, count: i32,
  pivot: T, scale: T, slope: T, offset: T,
): void {
  const h = v128.splat<T>(pivot), a = v128.splat<T>(scale), k = v128.splat<T>(slope), b = v128.splat<T>(offset);
  const bytes = vectorBytes<S>();
  const toDy = dy - x, toDx = dx - x, toSide = side - x, hasSide = side != 0, hasGate = gate != 0;
  const end = x + <usize>count * sizeof<S>();
  if (sizeof<T>() == 4) for (; x + 2 * bytes <= end; x += 2 * bytes, gate += 2) {
    elementWise.gradientOfTwo<S, T>(x, toDy, toDx, toSide, gate, h, h, a, a, k, k, b, b, hasSide, hasGate);
  }
  for (; x + bytes <= end; x += bytes, gate++) {
    elementWise.gradient<S, T>(x, toDy, toDx, toSide, gate, h, a, k, b, hasSide, hasGate);
  }
  for (; x < end; x += sizeof<S>(), lane++) {
    elementWise.gradientOnly<S, T>(x, toDy, toDx, toSide, gate, lane, h, a, k, b, hasSide, hasGate, false);
  }
}
