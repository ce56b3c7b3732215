// float16 as storage: bits and numbers, and layers of it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type Float16Elements, float16Bits, float16Numbers } from '../src/index.js';
import { expectError, filled } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const numbers = float16Numbers();

describe('the bits of a float16', () => {
  it('are numbers of ten fraction bits, and subnormal ones', () => {
    const known = { 0: 0, 1: 2 ** -24, 1023: 1023 * 2 ** -24, 1024: 2 ** -14, 15360: 1, 15361: 1 + 2 ** -10 };
    for (const [bits, number] of Object.entries(known)) expect(numbers[+bits]).toBe(number);
    expect([numbers[0x7bff], numbers[0xfbff], numbers[0x7c00], numbers[0xfc00]]).toEqual([
      65504,
      -65504,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
    expect(numbers[0x8000]).toBe(-0);
    expect(numbers[0x7e00]).toBeNaN();
  });

  it('are those that their number was made of, for every pattern', () => {
    for (let bits = 0; bits < 2 ** 16; bits++) {
      const number = numbers[bits]!;
      if (Number.isNaN(number)) expect(numbers[float16Bits(number)]).toBeNaN();
      else if (float16Bits(number) !== bits) expect.fail(`${bits} became ${float16Bits(number)}`);
    }
  });

  it('are of the nearest number, of two the even one', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [low, high] = [numbers[bits]!, numbers[bits + 1]!];
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const tiny = middle * 2 ** -52;
      const rounded = [middle - tiny, middle, middle + tiny, -middle].map(float16Bits);
      const expected = [bits, even, bits + 1, even + 0x8000];
      if (rounded.some((value, n) => value !== expected[n])) expect.fail(`${middle} became ${rounded}`);
    }
    expect([65519.99, 65520, 1e300].map(float16Bits)).toEqual([0x7bff, 0x7c00, 0x7c00]);
  });

  it('err by at most half a unit in the last place', () => {
    fc.assert(
      fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const error = Math.abs(numbers[float16Bits(value)]! - value);
        return error <= Math.max(Math.abs(value) * 2 ** -11, 2 ** -25);
      }),
      { seed: 14 },
    );
  });
});

const C = 3;
const shape = [8, C];
const bitsOf = (values: ArrayLike<number>) => Uint16Array.from(values, float16Bits);
const numbersOf = (bits: Uint16Array) => Float32Array.from(bits, (value) => numbers[value]!);

function newLayer(options: Partial<BatchNormOptions> = {}) {
  const backend = new ReferenceBackend();
  return { layer: new BatchNorm({ backend, numFeatures: C, ...options }), backend };
}

describe('a layer of float16', () => {
  const x = { data: bitsOf(filled(shape, 1).data), shape };
  const dy = { data: bitsOf(filled(shape, 2).data), shape };

  it('computes what one of float32 does, and rounds the results', async () => {
    const [{ layer }, { layer: other, backend }] = [newLayer({ dtype: 'float16' }), newLayer({ dtype: 'float16' })];
    const { layer: float32 } = newLayer();
    const y = await layer.forward(x);
    expect(y.data).toEqual(bitsOf((await float32.forward({ data: numbersOf(x.data), shape })).data));
    const { dx, dgamma } = await layer.backward(dy);
    const expected = await float32.backward({ data: numbersOf(dy.data), shape });
    expect(dx.data).toEqual(bitsOf(expected.dx.data));
    expect(dgamma).toEqual(expected.dgamma);
    expect(await layer.state()).toEqual(await float32.state());
    const onDevice = await other.forward(backend.upload(x));
    expect(onDevice.dtype).toBe('float16');
    expect(await onDevice.read()).toEqual(y.data);
  });

  it('refuses other dtypes, as others refuse it', async () => {
    const { layer } = newLayer({ dtype: 'float16' });
    await expectError('DTYPE_MISMATCH', () => layer.forward(filled(shape)), /float32/);
    await expectError('DTYPE_MISMATCH', () => newLayer().layer.forward(x), /float16/);
    const backend = new ReferenceBackend({ dtypes: ['float32'] });
    const make = () => new BatchNorm({ backend, numFeatures: C, dtype: 'float16' });
    await expectError('DTYPE_MISMATCH', make, /float16.*float32/);
  });

  it('notices a changed x, and lets an empty batch pass', async () => {
    const { layer } = newLayer({ dtype: 'float16', emptyBatch: 'pass' });
    const own = { data: x.data.slice(), shape };
    await layer.forward(own);
    own.data.fill(0x3c00);
    await expectError('INPUT_CHANGED', () => layer.backward(dy));
    const empty = await layer.forward({ data: new Uint16Array(0), shape: [0, C] });
    expect(empty.data).toEqual(new Uint16Array(0));
  });

  const isThere = 'Float16Array' in globalThis;
  it.skipIf(!isThere)(`takes a Float16Array, and gives one${isThere ? '' : ' (this engine has none)'}`, async () => {
    const { Float16Array } = globalThis as unknown as {
      Float16Array: new (from: ArrayLike<number>) => Float16Elements;
    };
    const [{ layer }, { layer: other }] = [newLayer({ dtype: 'float16' }), newLayer({ dtype: 'float16' })];
    const values = { data: new Float16Array(numbersOf(x.data)), shape };
    const y = await layer.forward(values);
    expect(y.data).toBeInstanceOf(Float16Array);
    expect(bitsOf(y.data)).toEqual((await other.forward(x)).data);
    const out = { data: new Float16Array(new Float32Array(8 * C)), shape };
    expect(await layer.forward(values, { out })).toBe(out);
    expect([...bitsOf(out.data)]).toEqual([...bitsOf(y.data)]);
    const { dx } = await layer.backward({ data: new Float16Array(numbersOf(dy.data)), shape });
    expect(bitsOf(dx.data)).toEqual((await other.backward(dy)).dx.data);
  });
});
