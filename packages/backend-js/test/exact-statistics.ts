// Mean and variance in whole numbers, without any rounding: what statistics are compared with where float64 itself is too coarse.

/** value = significand · 2^exponent */
function partsOf(value: number): { significand: bigint; exponent: number } {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0]!;
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const significand = exponent === 0 ? fraction : fraction + 2n ** 52n;
  return { significand: value < 0 ? -significand : significand, exponent: Math.max(exponent, 1) - 1075 };
}

/** numerator / denominator · 2^exponent */
interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
  readonly exponent: number;
}

export interface ExactStatistics {
  readonly mean: Fraction;
  /** Population variance. */
  readonly variance: Fraction;
}

/** Of finite values: mean = Σx/M, variance = (M·Σx² − (Σx)²)/M². */
export function exactStatistics(values: ArrayLike<number>): ExactStatistics {
  const parts = Array.from(values, partsOf);
  const exponent = Math.min(...new Set(parts.map((part) => part.exponent)));
  const M = BigInt(parts.length);
  let [sum, squares] = [0n, 0n];
  for (const part of parts) {
    const x = part.significand << BigInt(part.exponent - exponent);
    sum += x;
    squares += x * x;
  }
  return {
    mean: { numerator: sum, denominator: M, exponent },
    variance: { numerator: M * squares - sum * sum, denominator: M * M, exponent: 2 * exponent },
  };
}

/** |received − exact|, rounded only when all digits have cancelled that do. What 0 is off by is the exact value itself. */
export function errorOf(received: number, { numerator, denominator, exponent }: Fraction): number {
  const given = partsOf(received);
  const least = Math.min(given.exponent, exponent);
  const scaled = (given.significand << BigInt(given.exponent - least)) * denominator;
  const difference = scaled - (numerator << BigInt(exponent - least));
  return toNumber(difference < 0n ? -difference : difference, denominator, least);
}

/** numerator / denominator · 2^exponent, within two roundings, where that is a normal number. */
function toNumber(numerator: bigint, denominator: bigint, exponent: number): number {
  const lengthOf = (value: bigint) => value.toString(2).length;
  // A quotient of 64 bits keeps all the digits that a number has.
  const shift = 64 + lengthOf(denominator) - lengthOf(numerator);
  const quotient = Number((numerator << BigInt(shift)) / denominator);
  const half = Math.trunc((exponent - shift) / 2);
  return quotient * 2 ** half * 2 ** (exponent - shift - half);
}
