// float16 (IEEE 754 binary16) in lanes: to float32, which has each of its numbers, and back. No step has a subnormal
// float32 in a product, which some processors take a hundred cycles for. What loops of vectors do is inline; what is done
// to a few last elements is not, because each conversion has some 150 bytes of constants.

/** The numbers of four halfs, which come as int32 with their sign extended. */
/* @inline */ export function floatsOf(halfs: v128): v128 {
  // Exponents of float16 count from −15, those of float32 from −127: 112 more. First they are 224 more, so that those of
  // infinity and NaN are again the highest.
  const size = i32x4.shr_u(i32x4.shl(halfs, 17), 4);
  const normal = f32x4.mul(v128.or(size, i32x4.splat(0x70000000)), f32x4.splat(reinterpret<f32>(0x07800000)));
  // 2^−14 · f of a subnormal number was taken for 2^−15 · (1 + f), which is the greater one; of others it is the less.
  const subnormal = f32x4.sub(f32x4.add(normal, normal), f32x4.splat(6.103515625e-5));
  return v128.or(f32x4.pmin(normal, subnormal), v128.and(halfs, i32x4.splat(0x80000000)));
}

/** The nearest halfs of four float32 numbers and then of another four, of two that are as near the even one. */
/* @inline */ export function halfsOf(a: v128, b: v128): v128 {
  const sizes = i16x8.sub(i16x8.narrow_i32x4_u(sizeOf(a), sizeOf(b)), i16x8.splat(<i16>0xc400));
  const signs = v128.and(i16x8.narrow_i32x4_s(a, b), i16x8.splat(<i16>0x8000));
  const areNaN = i16x8.narrow_i32x4_s(f32x4.ne(a, a), f32x4.ne(b, b));
  return v128.bitselect(i16x8.splat(0x7e00), v128.or(sizes, signs), areNaN);
}

/**
 * The bits of |number| as a half, and 113 exponents more, modulo 2^16, as int32. In [2^e, 2^(e+1)), the unit of float16
 * is 2^(e−10), and in [2^(e+13), 2^(e+14)) that of float32 is: a sum there is rounded to it, and its last bits count it.
 */
/* @inline */ function sizeOf(numbers: v128): v128 {
  // 2^16 and NaN are infinite.
  const size = f32x4.pmin(f32x4.splat(65536), f32x4.abs(numbers));
  const power = i32x4.max_s(v128.and(size, i32x4.splat(0x7f800000)), i32x4.splat(0x38800000));
  const units = f32x4.add(size, i32x4.add(power, i32x4.splat(13 << 23)));
  return v128.and(i32x4.add(units, i32x4.shr_u(power, 13)), i32x4.splat(0xffff));
}

/** The numbers of the two halfs at `at`, in the first two lanes. */
export function twoFloatsAt(at: usize): v128 {
  return floatsOf(i32x4.extend_low_i16x8_s(v128.load32_zero(at)));
}

/** The number of the half at `at`, in the first lane; 0 in the others. */
export function floatAt(at: usize): v128 {
  return floatsOf(i32x4.extend_low_i16x8_s(v128.load16_lane(at, i32x4.splat(0), 0)));
}

export function storeFourHalfs(at: usize, numbers: v128): void {
  v128.store64_lane(at, halfsOf(numbers, numbers), 0);
}

/** Stores the first lane. */
export function storeHalf(at: usize, numbers: v128): void {
  v128.store16_lane(at, halfsOf(numbers, numbers), 0);
}
