// What passes that write do to one vector, or to the last values of a row or run: y, and dx. `side` is the residual that
// y has in it, or where g, the dy behind the gate, goes (gate.ts). Of one element, `lane` is that of its vector.
// biome-ignore-all format: one line for one vector
import { behind, hasPassed, relu, reluOnly } from './gate';
import { multiplyAdd, only, storeOnly } from './vectors';

/**
 * y = (x − h) · a + b + side, behind a gate where there is one; or, of a gradient, the same of g, which is x behind the
 * gate, and goes to `side`.
 */
/* @inline */ export function affine<T>(
  x: usize, toY: usize, toSide: usize, gate: usize, h: v128, a: v128, b: v128,
  hasSide: bool, hasGate: bool, ofGradient: bool,
): void {
  let v = v128.load(x);
  if (ofGradient) {
    if (hasGate) v = behind<T>(v, gate);
    if (hasSide) v128.store(x + toSide, v);
  }
  let z = multiplyAdd<T>(v128.sub<T>(v, h), a, b);
  if (!ofGradient) {
    if (hasSide) z = v128.add<T>(z, v128.load(x + toSide));
    if (hasGate) z = relu<T>(z, gate);
  }
  v128.store(x + toY, z);
}

/** The same of one element. `isFused`: rounded as vectors are. */
/* @inline */ export function affineOnly<T>(
  x: usize, toY: usize, toSide: usize, gate: usize, lane: i32, h: v128, a: v128, b: v128,
  hasSide: bool, hasGate: bool, ofGradient: bool, isFused: bool,
): void {
  let v = only<T>(x);
  if (ofGradient) {
    if (hasGate && !hasPassed(gate, lane)) v = f64x2.splat(0);
    if (hasSide) storeOnly<T>(x + toSide, v);
  }
  const d = v128.sub<T>(v, h);
  let z = isFused ? multiplyAdd<T>(d, a, b) : v128.add<T>(v128.mul<T>(d, a), b);
  if (!ofGradient) {
    if (hasSide) z = v128.add<T>(z, only<T>(x + toSide));
    if (hasGate) z = reluOnly<T>(z, gate, lane);
  }
  storeOnly<T>(x + toY, z);
}

/** dx = a · (g − ((x − h) · k + b)) */
/* @inline */ export function gradient<T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, h: v128, a: v128, k: v128, b: v128,
  hasSide: bool, hasGate: bool,
): void {
  const through = multiplyAdd<T>(v128.sub<T>(v128.load(x), h), k, b);
  let g = v128.load(x + toDy);
  if (hasGate) g = behind<T>(g, gate);
  if (hasSide) v128.store(x + toSide, g);
  v128.store(x + toDx, v128.mul<T>(a, v128.sub<T>(g, through)));
}

/** The same of one element. */
/* @inline */ export function gradientOnly<T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, lane: i32, h: v128, a: v128, k: v128, b: v128,
  hasSide: bool, hasGate: bool, isFused: bool,
): void {
  const d = v128.sub<T>(only<T>(x), h);
  const through = isFused ? multiplyAdd<T>(d, k, b) : v128.add<T>(v128.mul<T>(d, k), b);
  let g = only<T>(x + toDy);
  if (hasGate && !hasPassed(gate, lane)) g = f64x2.splat(0);
  if (hasSide) storeOnly<T>(x + toSide, g);
  storeOnly<T>(x + toDx, v128.mul<T>(a, v128.sub<T>(g, through)));
}
