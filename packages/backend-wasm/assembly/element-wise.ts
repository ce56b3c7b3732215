// What passes that write do to one vector, or to the last values of a row or run: y, and dx. `side` is the residual that
// y has in it, or where g, the dy behind the gate, goes (gate.ts). Of one element, `lane` is that of its vector.
// biome-ignore-all format: one line for one vector
import { behind, hasPassed, relu, reluOnly } from './gate';
import { multiplyAdd, only, storeOnly, storeVector, vectorAt } from './vectors';

/**
 * y = (x − h) · a + b + side, behind a gate where there is one; or, of a gradient, the same of g, which is x behind the
 * gate, and goes to `side`.
 */
/* @inline */ export function affine<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, h: v128, a: v128, b: v128,
  hasSide: bool, hasGate: bool, ofGradient: bool,
): void {
  let v = vectorAt<S>(x);
  if (ofGradient) {
    if (hasGate) v = behind<T>(v, gate);
    if (hasSide) storeVector<S>(x + toSide, v);
  }
  let z = multiplyAdd<T>(v128.sub<T>(v, h), a, b);
  if (!ofGradient) {
    if (hasSide) z = v128.add<T>(z, vectorAt<S>(x + toSide));
    if (hasGate) z = relu<S, T>(z, gate);
  }
  storeVector<S>(x + toY, z);
}

/** The same of one element. `isFused`: rounded as vectors are. */
/* @inline */ export function affineOnly<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, lane: i32, h: v128, a: v128, b: v128,
  hasSide: bool, hasGate: bool, ofGradient: bool, isFused: bool,
): void {
  let v = only<S>(x);
  if (ofGradient) {
    if (hasGate && !hasPassed(gate, lane)) v = f64x2.splat(0);
    if (hasSide) storeOnly<S>(x + toSide, v);
  }
  const d = v128.sub<T>(v, h);
  let z = isFused ? multiplyAdd<T>(d, a, b) : v128.add<T>(v128.mul<T>(d, a), b);
  if (!ofGradient) {
    if (hasSide) z = v128.add<T>(z, only<S>(x + toSide));
    if (hasGate) z = reluOnly<S, T>(z, gate, lane);
  }
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
