// float16 is storage: words of two numbers become float32 before anything is computed, and results become words. By
// integers: WGSL's own conversions may lose subnormal numbers, and need not round to nearest.
import { threads } from './layout.js';
import { type Bindings, type Shader, shader, workgroupNumber, workgroupParameters } from './shader.js';

/** A thread for each word, in workgroups of two dimensions. */
function perWord(bindings: Bindings, functions: string, body: string): Shader {
  return shader(
    bindings,
    `
${functions}
@compute @workgroup_size(${threads}) fn main(${workgroupParameters}
  @builtin(local_invocation_index) lane: u32,
) {
  ${workgroupNumber}
  let word = id * ${threads}u + lane;
  let count = P.rows * P.columns * P.width;
  if (2u * word >= count) { return; }
  let hasTwo = 2u * word + 1u < count;
  ${body}
}`,
  );
}

/** Exact. */
export function decode(): Shader {
  return perWord(
    { halves: { type: 'u32' }, numbers: { type: 'f32', isWritten: true } },
    `
fn numberOf(half: u32) -> f32 {
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 0x1fu;
  let fraction = half & 0x3ffu;
  let subnormal = bitcast<u32>(f32(fraction) * ${2 ** -24}f);
  let normal = select(((exponent + 112u) << 23u) | (fraction << 13u), 0x7f800000u | (fraction << 13u), exponent == 31u);
  return bitcast<f32>(sign | select(normal, subnormal, exponent == 0u));
}`,
    `let pair = halves[word];
  numbers[2u * word] = numberOf(pair & 0xffffu);
  if (hasTwo) { numbers[2u * word + 1u] = numberOf(pair >> 16u); }`,
  );
}

/** Rounds to nearest, to even halfway; from 65520 on to infinity. The half word after an odd last number stays. */
export function encode(): Shader {
  return perWord(
    { numbers: { type: 'f32' }, halves: { type: 'u32', isWritten: true } },
    `
fn halfOf(number: f32) -> u32 {
  let bits = bitcast<u32>(number);
  let sign = (bits >> 16u) & 0x8000u;
  let size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) { return sign | 0x7e00u; }
  if (size >= 0x477ff000u) { return sign | 0x7c00u; }
  if (size <= 0x33000000u) { return sign; }
  if (size >= 0x38800000u) {
    return sign | ((size + 0xfffu + ((size >> 13u) & 1u) - 0x38000000u) >> 13u);
  }
  let shift = 126u - (size >> 23u);
  let fraction = (size & 0x7fffffu) | 0x800000u;
  let half = fraction >> shift;
  let rest = fraction & ((1u << shift) - 1u);
  let tie = 1u << (shift - 1u);
  return sign | (half + u32(rest > tie || (rest == tie && (half & 1u) == 1u)));
}`,
    `let second = select(halves[word] >> 16u, halfOf(numbers[min(2u * word + 1u, count - 1u)]), hasTwo);
  halves[word] = halfOf(numbers[2u * word]) | (second << 16u);`,
  );
}
