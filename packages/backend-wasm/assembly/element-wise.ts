// What passes that write do to one vector, or to the last values of a row or run: y, and dx. `side` is the residual that
// y has in it, or where g, the dy behind the gate, goes (gate.ts). Of one element, `lane` is that of its vector.
// biome-ignore-all format: one line for one vector
import { areOff, behind, hasPassed, relu, reluOnly, setOff } from './gate';
import { multiplyAdd, only, storeOnly, storeTwo, storeVector, vectorAt, vectorBytes } from './vectors';

/** y = (x − h) · a + b + side, behind a gate where there is one, which it writes. */
/* @inline */ export function affine<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, h: v128, a: v128, b: v128, hasSide: bool, hasGate: bool,
): void {
  let z = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), a, b);
  if (hasSide) z = v128.add<T>(z, vectorAt<S>(x + toSide));
  if (hasGate) z = relu<S, T>(z, gate);
  storeVector<S>(x + toY, z);
}

/** The same of two neighbouring vectors: so questions are asked half as often. */
/* @inline */ export function affineOfTwo<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, h0: v128, h1: v128, a0: v128, a1: v128, b0: v128, b1: v128,
  hasSide: bool, hasGate: bool,
): void {
  let z0 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h0), a0, b0);
  let z1 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 1), h1), a1, b1);
  if (hasSide) {
    z0 = v128.add<T>(z0, vectorAt<S>(x + toSide));
    z1 = v128.add<T>(z1, vectorAt<S>(x + toSide, 1));
  }
  if (hasGate) {
    const off0 = areOff<S, T>(z0), off1 = areOff<S, T>(z1);
    setOff<T>(off0, off1, gate);
    z0 = v128.andnot(z0, off0);
    z1 = v128.andnot(z1, off1);
  }
  storeTwo<S>(x + toY, z0, z1);
}

/** The same of one element. `isFused`: rounded as vectors are. */
/* @inline */ export function affineOnly<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, lane: i32, h: v128, a: v128, b: v128,
  hasSide: bool, hasGate: bool, isFused: bool,
): void {
  const d = v128.sub<T>(only<S>(x), h);
  let z = isFused ? multiplyAdd<T>(d, a, b) : v128.add<T>(v128.mul<T>(d, a), b);
  if (hasSide) z = v128.add<T>(z, only<S>(x + toSide));
  if (hasGate) z = reluOnly<S, T>(z, gate, lane);
  storeOnly<S>(x + toY, z);
}

/** dx = a · (g − ((x − h) · k + b)) */
/* @inline */ export function gradient<S, T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, h: v128, a: v128, k: v128, b: v128,
  hasSide: bool, hasGate: bool,
): void {
  const through = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h), k, b);
  let g = vectorAt<S>(x + toDy);
  if (hasGate) g = behind<T>(g, gate);
  if (hasSide) storeVector<S>(x + toSide, g);
  storeVector<S>(x + toDx, v128.mul<T>(a, v128.sub<T>(g, through)));
}

/** The same of two neighbouring vectors. */
/* @inline */ export function gradientOfTwo<S, T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize,
  h0: v128, h1: v128, a0: v128, a1: v128, k0: v128, k1: v128, b0: v128, b1: v128, hasSide: bool, hasGate: bool,
): void {
  const t0 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x), h0), k0, b0);
  const t1 = multiplyAdd<T>(v128.sub<T>(vectorAt<S>(x, 1), h1), k1, b1);
  let g0 = vectorAt<S>(x + toDy), g1 = vectorAt<S>(x + toDy, 1);
  if (hasGate) {
    g0 = behind<T>(g0, gate);
    g1 = behind<T>(g1, gate + 1);
  }
  if (hasSide) storeTwo<S>(x + toSide, g0, g1);
  storeTwo<S>(x + toDx, v128.mul<T>(a0, v128.sub<T>(g0, t0)), v128.mul<T>(a1, v128.sub<T>(g1, t1)));
}

/** The same of one element. */
/* @inline */ export function gradientOnly<S, T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, lane: i32, h: v128, a: v128, k: v128, b: v128,
  hasSide: bool, hasGate: bool, isFused: bool,
): void {
  const d = v128.sub<T>(only<S>(x), h);
  const through = isFused ? multiplyAdd<T>(d, k, b) : v128.add<T>(v128.mul<T>(d, k), b);
  let g = only<S>(x + toDy);
  if (hasGate && !hasPassed(gate, lane)) g = f64x2.splat(0);
  if (hasSide) storeOnly<S>(x + toSide, g);
  storeOnly<S>(x + toDx, v128.mul<T>(a, v128.sub<T>(g, through)));
}

/**
 * g = dy, behind the gate where there is one, of `count` neighbours. `dy` is lane `lane` of its vector; if that is not 0,
 * none is in another vector.
 */
export function letThrough<S, T>(dy: usize, g: usize, gate: usize, lane: i32, count: i32): void {
  const bytes = vectorBytes<S>(), end = dy + <usize>count * sizeof<S>(), toG = g - dy;
  const hasGate = gate != 0;
  if (lane == 0) for (; dy + 2 * bytes <= end; dy += 2 * bytes, gate += 2) {
    let g0 = vectorAt<S>(dy), g1 = vectorAt<S>(dy, 1);
    if (hasGate) {
      g0 = behind<T>(g0, gate);
      g1 = behind<T>(g1, gate + 1);
    }
    storeTwo<S>(dy + toG, g0, g1);
  }
  for (; lane == 0 && dy + bytes <= end; dy += bytes, gate++) {
    const v = vectorAt<S>(dy);
    storeVector<S>(dy + toG, hasGate ? behind<T>(v, gate) : v);
  }
  for (; dy < end; dy += sizeof<S>(), lane++) {
    storeOnly<S>(dy + toG, hasGate && !hasPassed(gate, lane) ? f64x2.splat(0) : only<S>(dy));
  }
}
