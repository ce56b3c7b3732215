// Arithmetic that every shader may need: sums that keep their rounding errors, and questions to the bits of a number.
//
// WGSL lets a compiler reassociate, and take NaN and infinity for impossible. Mesa's makes b of (a + b) − a. Therefore an
// intermediate result goes through `rounded`, whose zero comes from a buffer; and what asks for NaN, infinity or a sign
// looks at bits.

/** `Pair` of numbers, and `Pair4` of vectors: high + low, where low is what rounding took from high. */
export const arithmeticText: string = ['', '4']
  .map((of) => {
    const [number, bits, zero] = of === '' ? ['f32', 'u32', 'P.zero'] : ['vec4f', 'vec4u', 'vec4u(P.zero)'];
    return `
struct Pair${of} { high: ${number}, low: ${number} }

fn rounded${of}(value: ${number}) -> ${number} {
  return bitcast<${number}>(bitcast<${bits}>(value) ^ ${zero});
}

// Knuth's TwoSum: the error of an addition, whichever of the two is larger.
fn plus${of}(sum: Pair${of}, term: ${number}) -> Pair${of} {
  let next = rounded${of}(sum.high + term);
  let ofTerm = rounded${of}(next - sum.high);
  let ofSum = rounded${of}(next - ofTerm);
  let lost = rounded${of}(sum.high - ofSum) + rounded${of}(term - ofTerm);
  return Pair${of}(next, sum.low + lost);
}

fn both${of}(a: Pair${of}, b: Pair${of}) -> Pair${of} {
  let sum = plus${of}(a, b.high);
  return Pair${of}(sum.high, sum.low + b.low);
}
`;
  })
  .join('')
  .concat(`
fn isFinite(value: f32) -> bool { return (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u; }

fn isNaN(value: f32) -> bool { return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u; }

fn nan() -> f32 { return bitcast<f32>(P.nan); }

// Whether ReLU lets it pass: above least, whose bits are given, or NaN.
fn passes(value: f32, least: u32) -> bool {
  let size = bitcast<u32>(value);
  return (size > least && size <= 0x7f800000u) || isNaN(value);
}
`);
