// What float16 results were before they were rounded, and how they are compared.
import { elementsFrom, float16Bits, float16Numbers } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { compare, identical } from '../src/compare.js';
import { beforeRounding } from '../src/float16/before-rounding.js';
import { GuardedBuffer } from '../src/memory/guarded-buffer.js';

const before = (bits: number, wanted: number) => beforeRounding(Uint16Array.of(bits), Float64Array.of(wanted))[0]!;

describe('what a float16 was before it was rounded', () => {
  it('is what is wanted, where that rounds to it', () => {
    const numbers = float16Numbers();
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [size, next] = [numbers[bits]!, numbers[bits + 1]!];
      for (const wanted of [size, size + (next - size) * 0.49, next - (next - size) * 0.49, -size, -next]) {
        const was = before(float16Bits(wanted), wanted);
        if (was !== wanted) expect.fail(`${wanted} became ${was}`);
      }
    }
    for (const wanted of [65519.9, 65520, 1e30]) {
      expect(before(float16Bits(wanted), wanted)).toBe(wanted);
      expect(before(float16Bits(-wanted), -wanted)).toBe(-wanted);
    }
  });

  it('is the nearest number that rounds to it, elsewhere', () => {
    // 1 and the numbers beside it: 1 − 2^-11, 1, 1 + 2^-10.
    expect(before(0x3c00, 5)).toBe(1 + 2 ** -11);
    expect(before(0x3c00, -5)).toBe(1 - 2 ** -12);
    expect(before(0xbc00, 5)).toBe(-(1 - 2 ** -12));
    expect(before(0, 1)).toBe(2 ** -25);
    expect(before(0x8000, 1)).toBe(2 ** -25);
    expect(before(0x7bff, 1e6)).toBe(65520);
    expect(before(0x7c00, 1)).toBe(65520);
    expect(before(0xfc00, 1)).toBe(-65520);
  });

  it('is NaN, or infinite, where that was received or wanted', () => {
    expect(before(0x7e01, 1)).toBeNaN();
    expect(before(0xfe00, Number.POSITIVE_INFINITY)).toBeNaN();
    expect(before(0x3c00, Number.NaN)).toBe(1);
    expect(before(0x7c00, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(before(0x7bff, Number.POSITIVE_INFINITY)).toBe(65520);
  });
});

describe('a comparison of float16', () => {
  const compared = (received: number, wanted: number, tolerance = 2 ** -24) =>
    compare(
      { shape: [1], data: elementsFrom('float16', [received]) },
      {
        shape: [1],
        dtype: 'float16',
        data: [wanted],
        tolerance: Float64Array.of(tolerance),
        magnitude: Float64Array.of(1),
      },
    );

  it('is of the error before the last rounding, against the bound', () => {
    expect(compared(1, 1 + 2 ** -11)).toMatchObject({ passed: true, worst: 0 });
    expect(compared(1, 1 + 2 ** -11 + 2 ** -25)).toMatchObject({ passed: true, worst: 0.5 });
    expect(compared(1, 1 + 2 ** -11 + 2 ** -23)).toMatchObject({ passed: false, worst: 2 });
    expect(compared(1, 1 + 2 ** -10).message).toMatch('received 1, expected 1.0009765625');
  });

  it('takes infinity for what rounds to it', () => {
    expect(compared(Number.POSITIVE_INFINITY, 1e6).passed).toBe(true);
    expect(compared(65504, 1e6).passed).toBe(false);
    expect(compared(Number.POSITIVE_INFINITY, 65519).passed).toBe(false);
    expect(compared(Number.NaN, 1).passed).toBe(false);
  });
});

it('bits are the same only if all are, wherever they lie', () => {
  const bits = Uint16Array.of(9, 1, 2, 3);
  for (const [from, to] of [
    [0, 3],
    [1, 4],
    [1, 3],
  ]) {
    const received = bits.subarray(from, to);
    expect(identical('bits', received, received.slice()).passed).toBe(true);
    const other = received.slice();
    other[other.length - 1]!++;
    expect(identical('bits', received, other).passed).toBe(false);
  }
});

it('guarded buffers of float16 notice what is written beside an array, at either end', () => {
  for (const length of [1, 2, 3, 4, 5]) {
    const buffer = new GuardedBuffer();
    const array = Array.from({ length: 9 }, () => buffer.copyOf(new Uint16Array(length).fill(7))).at(-1)!;
    expect(array).toEqual(new Uint16Array(length).fill(7));
    expect(array.byteOffset).toBeGreaterThan(2 ** 16);
    expect(buffer.damage).toBe(0);
    new Uint16Array(array.buffer)[array.byteOffset / 2 - 1] = 0x3c00;
    expect(buffer.damage).toBe(2);
    new Uint16Array(array.buffer)[array.byteOffset / 2 + length] = 0x3cff;
    expect(buffer.damage).toBe(3);
  }
});
