// float16 (IEEE 754 binary16) in lanes: to float32, which has each of its numbers, and back. No step meets a subnormal
// float32 in a product, which some processors take a hundred cycles for.

/** The numbers of four halfs, which come as int32 with their sign extended. */
/* @inline */ export function floatsOf(halfs: v128): v128 {
  // What is left of the sign, where float32 has it. Its exponents count from −127, those of float16 from −15: here they
  // count from −239, so that the highest is the highest of float32, too, which infinity and NaN have.
  const size = v128.and(i32x4.shl(halfs, 13), i32x4.splat(0x0fffffff));
  // A subnormal number has the exponent of the least normal one, and no 1 before its fraction.
  const least = v128.and(i32x4.lt_s(size, i32x4.splat(0x00800000)), i32x4.splat(0x70800000));
  const scaled = f32x4.sub(v128.or(v128.or(size, i32x4.splat(0x70000000)), least), least);
  const sign = v128.and(halfs, i32x4.splat(0x80000000));
  return v128.or(f32x4.mul(scaled, f32x4.splat(reinterpret<f32>(0x07800000))), sign);
}

/** The nearest halfs of four float32 numbers and then of another four, of two that are as near the even one. */
/* @inline */ export function halfsOf(a: v128, b: v128): v128 {
  const sizes = i16x8.sub(i16x8.narrow_i32x4_u(sizeOf(a), sizeOf(b)), i16x8.splat(<i16>0xc400));
  const signs = v128.and(i16x8.narrow_i32x4_s(a, b), i16x8.splat(<i16>0x8000));
  const isNaN = i16x8.narrow_i32x4_s(f32x4.ne(a, a), f32x4.ne(b, b));
  return v128.bitselect(i16x8.splat(0x7e00), v128.or(sizes, signs), isNaN);
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
