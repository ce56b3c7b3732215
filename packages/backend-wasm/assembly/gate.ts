// The gate of ReLU: which values a forward let pass, as its backward needs to know. A run of neighbours, which is a row
// where channels come last and else what a channel has at one outer index, has a byte for each vector in it, and a
// vector of T a bit for each lane. So a backward reads neither residual nor z, and decides as y was decided, wide channels
// (wide.ts) included.
import { Job } from './job';

/** Bytes of the gate of neighbours that are `bytes` as numbers of T, and begin with a vector. */
/* @inline */ export function gateBytes(bytes: usize): usize {
  return (bytes + 15) >> 4;
}

/** The gate of run `run`, each of which is so many `bytes` as numbers of T; 0 where there is none. */
/* @inline */ export function gateOf(job: Job, run: usize, bytes: usize): usize {
  return job.gate == 0 ? 0 : job.gate + run * gateBytes(bytes);
}

/** Lanes of a vector. */
/* @inline */ export function lanesOf<T>(): i32 {
  return 16 / sizeof<T>();
}

/** The numbers z that S has as 0, or that are less. As float16, 2^−25 is as near to 0 as to the next, and 0 is even. */
/* @inline */ export function areOff<S, T>(z: v128): v128 {
  if (sizeof<S>() == 2) return f32x4.le(z, f32x4.splat(2.9802322387695312e-8));
  return v128.le<T>(z, f64x2.splat(0));
}

/** 0 where S has z as 0 or less, else z; `gate` keeps which. NaN passes. */
/* @inline */ export function relu<S, T>(z: v128, gate: usize): v128 {
  const isOff = areOff<S, T>(z);
  store<u8>(gate, ~(sizeof<T>() == 4 ? i32x4.bitmask(isOff) : i64x2.bitmask(isOff)));
  return v128.andnot(z, isOff);
}

/** The gate of two vectors, of which these lanes are off. */
/* @inline */ export function setOff<T>(first: v128, second: v128, gate: usize): void {
  const low = sizeof<T>() == 4 ? i32x4.bitmask(first) : i64x2.bitmask(first);
  const high = sizeof<T>() == 4 ? i32x4.bitmask(second) : i64x2.bitmask(second);
  store<u16>(gate, ~(low | (high << 8)));
}

/** The same of the first lane of z, which is lane `lane` of the vector that `gate` is of. */
/* @inline */ export function reluOnly<S, T>(z: v128, gate: usize, lane: i32): v128 {
  const isOff = areOff<S, T>(z);
  setPassed(gate, lane, (i32x4.extract_lane(isOff, 0) & 1) == 0);
  return v128.andnot(z, isOff);
}

/** g: dy where the gate let z pass, else 0. May read seven bytes after `gate`. */
/* @inline */ export function behind<T>(dy: v128, gate: usize): v128 {
  if (sizeof<T>() == 8) return behindPair(dy, gate, i64x2(1, 2));
  const bits = i32x4(1, 2, 4, 8);
  return v128.and(dy, i32x4.eq(v128.and(v128.load32_splat(gate), bits), bits));
}

/** The same of a float64 pair, whose lanes have these `bits`. */
/* @inline */ export function behindPair(dy: v128, gate: usize, bits: v128): v128 {
  return v128.and(dy, i64x2.eq(v128.and(v128.load64_splat(gate), bits), bits));
}

/** The bits of two neighbouring lanes, from `lane` on. */
/* @inline */ export function bitsOfPair(lane: i32): v128 {
  return i64x2.shl(i64x2(1, 2), lane);
}

/* @inline */ export function hasPassed(gate: usize, lane: i32): bool {
  return ((load<u8>(gate) >> <u8>lane) & 1) != 0;
}

/* @inline */ export function setPassed(gate: usize, lane: i32, passes: bool): void {
  store<u8>(gate, (<i32>load<u8>(gate) & ~(1 << lane)) | ((<i32>passes) << lane));
}
