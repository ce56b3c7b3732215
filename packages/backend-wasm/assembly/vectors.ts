// Loads, stores and sums of vectors. T is the dtype of activations, f32 or f64; sums are pairs of float64, whatever T
// is.

/** The two elements `skip` elements after `at`, in float64. */
/* @inline */ export function pairAt<T>(at: usize, skip: usize = 0): v128 {
  return sizeof<T>() == 4 ? f64x2.promote_low_f32x4(v128.load64_zero(at + skip * 4)) : v128.load(at + skip * 8);
}

/** The element at `at` and 0, in float64. */
/* @inline */ export function singleAt<T>(at: usize): v128 {
  return sizeof<T>() == 4 ? f64x2.promote_low_f32x4(v128.load32_zero(at)) : v128.load64_zero(at);
}

/** The element at `at` in the first lane of a vector of T. */
/* @inline */ export function only<T>(at: usize): v128 {
  return sizeof<T>() == 4 ? v128.load32_zero(at) : v128.load64_zero(at);
}

/** Stores the first lane of a vector of T. */
/* @inline */ export function storeOnly<T>(at: usize, vector: v128): void {
  if (sizeof<T>() == 4) v128.store32_lane(at, vector, 0);
  else v128.store64_lane(at, vector, 0);
}

/** Stores a float64 pair as two elements, each rounded once. */
/* @inline */ export function storePair<T>(at: usize, pair: v128): void {
  if (sizeof<T>() == 4) v128.store64_lane(at, f32x4.demote_f64x2_zero(pair), 0);
  else v128.store(at, pair);
}

/** A float64 pair, each rounded to T. */
/* @inline */ export function rounded<T>(pair: v128): v128 {
  return sizeof<T>() == 4 ? f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(pair)) : pair;
}

/** The upper two of four float32, in float64. */
/* @inline */ export function upperPair(four: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(four, four, 1, 1));
}

/** The sum of eight float32 vectors, as a tree. */
/* @inline */ export function tree(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128): v128 {
  return f32x4.add(treeOfFour(a, b, c, d), treeOfFour(e, f, g, h));
}

/** Adds `pair` to the pair at `at`. */
/* @inline */ export function addTo(at: usize, pair: v128): void {
  v128.store(at, f64x2.add(v128.load(at), pair));
}

/** a · b + c: rounded once where the engine has relaxed SIMD and the processor a fused instruction, else twice. */
/* @inline */ export function multiplyAdd<T>(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? v128.relaxed_madd<T>(a, b, c) : v128.add<T>(v128.mul<T>(a, b), c);
}

/** a² + b² of float32 vectors. */
/* @inline */ export function sumOfSquares(a: v128, b: v128): v128 {
  return multiplyAdd<f32>(b, b, f32x4.mul(a, a));
}

/** The sum of four float32 vectors, as a tree. */
/* @inline */ export function treeOfFour(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
}
