// Files of safetensors, of the format's description and of our own.

import { expectCode } from '@batchnorm/testing/expect-code';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ByteSource,
  type FileTensor,
  findBatchNorms,
  floats,
  fromPyTorch,
  inspect,
  openSafetensors,
  openShardedSafetensors,
  safetensorsParts,
  writeSafetensors,
} from '../src/index.js';
import { fixture } from './fixtures.js';

/** A file with any header. */
function fileOf(header: unknown, bytes: number, length?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(length ?? text.length), true);
  file.set(text, 8);
  return file;
}

const f32 = (begin: number, end: number) => ({ dtype: 'F32', shape: [(end - begin) / 4], data_offsets: [begin, end] });

describe('a file of safetensors', () => {
  it('has tensors of every type', async () => {
    const file = await openSafetensors(await fixture('types.safetensors'));
    expect([...file.metadata]).toEqual([['format', 'pt']]);
    const read = async (name: string) => (await file.read(name)).data;
    expect(await read('half')).toEqual(Float32Array.of(1.5, -2, 65504, 2 ** -24));
    // 3e38 and 1e-40 to 8 bits.
    const bfloat = await read('bfloat');
    expect([bfloat[0], bfloat[1]]).toEqual([1.5, -2]);
    expect(Math.abs(Number(bfloat[2]) / 3e38 - 1)).toBeLessThan(2 ** -8);
    expect(Math.abs(Number(bfloat[3]) - 1e-40)).toBeLessThan(2 ** -133);
    expect(await read('double')).toEqual(Float64Array.of(0.1, 1e300));
    expect(await read('long')).toEqual(BigInt64Array.of(2n ** 40n, -1n));
    expect(await file.read('transposed')).toMatchObject({ shape: [3, 2], data: Float32Array.of(0, 3, 1, 4, 2, 5) });
    expect(await file.read('nothing')).toMatchObject({ shape: [0, 3], data: new Float32Array(0) });
  });

  it('is the same to the bit when it is written again', async () => {
    for (const name of ['types.safetensors', 'model.safetensors']) {
      const file = await openSafetensors(await fixture(name));
      const tensors = new Map<string, FileTensor>();
      for (const key of file.tensors.keys()) tensors.set(key, await file.read(key));
      const written = writeSafetensors(tensors, Object.fromEntries(file.metadata));
      const again = await openSafetensors(written);
      expect(again.metadata).toEqual(file.metadata);
      for (const [key, tensor] of tensors) expect(await again.read(key)).toEqual(tensor);
      const parts: Uint8Array[] = [];
      for await (const part of safetensorsParts(file.tensors, (key) => file.read(key), { format: 'pt' }))
        parts.push(part);
      expect(Buffer.concat(parts).equals(written)).toBe(true);
    }
  });

  it('has the bytes that the reference implementation writes', async () => {
    const bytes = await fixture('reference.safetensors');
    const file = await openSafetensors(bytes);
    const tensors = new Map<string, FileTensor>();
    for (const key of [...file.tensors.keys()].reverse()) tensors.set(key, await file.read(key));
    expect(writeSafetensors(tensors, { format: 'np' })).toEqual(bytes);
  });

  it('keeps any numbers, and any names', async () => {
    const names = fc.uniqueArray(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', '1', 'a.b')));
    await fc.assert(
      fc.asyncProperty(names, fc.float32Array(), fc.float64Array(), async (keys, single, double) => {
        const tensors = new Map<string, FileTensor>(
          keys
            .filter((key) => key !== '__metadata__')
            .map((key, k) => [
              key,
              k % 2 === 0
                ? { dtype: 'F32', shape: [single.length], data: single }
                : { dtype: 'F64', shape: [double.length, 1], data: double },
            ]),
        );
        const file = await openSafetensors(writeSafetensors(tensors));
        expect([...file.tensors.keys()].sort()).toEqual([...tensors.keys()].sort());
        for (const [key, tensor] of tensors) expect(await file.read(key)).toEqual(tensor);
      }),
      { seed: 17 },
    );
  });

  it('rounds to the nearest float16 and bfloat16, ties to even', async () => {
    const values = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN, -0);
    for (const [dtype, expected] of [
      ['F16', [1, 1 + 2 ** -9, 1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN, -0]],
      ['BF16', [1, 1, 1, 1 + 2 ** -6, Number.NaN, -0]],
    ] as const) {
      const file = await openSafetensors(writeSafetensors({ v: { dtype, shape: [6], data: values } }));
      expect((await file.read('v')).data).toEqual(Float32Array.from(expected));
    }
  });

  const written = async (dtype: FileTensor['dtype'], data: FileTensor['data']) => {
    const file = await openSafetensors(writeSafetensors({ v: { dtype, shape: [data.length], data } }));
    return Array.from((await file.read('v')).data as Float64Array);
  };

  it('rounds once: from float64 to bfloat16, too', async () => {
    const between = 1.7271531190107233e-21;
    const [up, down] = [1 + 2 ** -8 + 2 ** -40, 1 + 3 * 2 ** -8 - 2 ** -40];
    const values = Float64Array.of(between, up, -up, down, 1 + 2 ** -8, 2 ** -134, 2 ** -134 * (1 + 2 ** -40), 1e-300);
    expect(await written('BF16', values)).toEqual([
      new Float32Array(Uint32Array.of(7427 * 2 ** 16).buffer)[0],
      ...[1 + 2 ** -7, -1 - 2 ** -7, 1 + 2 ** -7, 1, 0, 2 ** -133, 0],
    ]);
    // The largest is (2 − 2⁻⁷) · 2¹²⁷, and the middle between it and infinity 2⁻⁸ · 2¹²⁷ above it.
    const [largest, middle] = [(2 - 2 ** -7) * 2 ** 127, (2 - 2 ** -8) * 2 ** 127];
    expect(await written('BF16', Float64Array.of(middle * (1 - 2 ** -40), -middle, 1e300))).toEqual([
      ...[largest, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
    ]);
    await fc.assert(
      fc.asyncProperty(fc.double({ noNaN: true, min: -(2 ** 127), max: 2 ** 127 }), async (value) => {
        const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(value) || 1)) - 7, -133);
        expect(Math.abs((await written('BF16', Float64Array.of(value)))[0]! - value)).toBeLessThanOrEqual(unit / 2);
      }),
      { seed: 17 },
    );
  });

  it('takes a Uint16Array as the bits of F16 and BF16', async () => {
    expect(await written('F16', Uint16Array.of(0x3c00, 0xc000))).toEqual([1, -2]);
    expect(await written('BF16', Uint16Array.of(0x3f80, 0xc000))).toEqual([1, -2]);
    const half = { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0x4000) } as const;
    const { state } = fromPyTorch({ running_mean: half, running_var: half }, { eps: 1e-5, momentum: 0.1 });
    expect(state.runningMean).toEqual([1, 2]);
    expect(floats(half).data).toEqual(Float32Array.of(1, 2));
    expect(floats({ ...half, dtype: 'F16' }).data).toBe(half.data);
  });

  it('has elements of another array where they are exact, or floats', async () => {
    expect(await written('U8', Float32Array.of(0, 255))).toEqual([0, 255]);
    expect(await written('I64', Int32Array.of(-1, 5))).toEqual([-1n, 5n]);
    expect(await written('U64', Float64Array.of(2 ** 63))).toEqual([2n ** 63n]);
    expect(await written('I32', BigInt64Array.of(-(2n ** 31n)))).toEqual([-(2 ** 31)]);
    expect(await written('BOOL', Int32Array.of(0, 1))).toEqual([0, 1]);
    expect(await written('F32', Int32Array.of(2 ** 24 + 1, 2 ** 24 + 3))).toEqual([2 ** 24, 2 ** 24 + 4]);
    expect(await written('F16', Uint8Array.of(7))).toEqual([7]);
  });

  it.each([
    ...[1.6, 2.5, -1, 300, Number.NaN, Number.POSITIVE_INFINITY].map(
      (value) => ['U8', Float32Array.of(value)] as const,
    ),
    ['I8', Int16Array.of(300)],
    ['I64', Float64Array.of(2 ** 63)],
    ['I64', BigUint64Array.of(2n ** 63n)],
    ['I32', BigInt64Array.of(2n ** 32n)],
    ['U64', Int32Array.of(-1)],
    ['BOOL', Int32Array.of(2)],
    ['F32', BigInt64Array.of(1n)],
    ['BF16', BigInt64Array.of(1n)],
    ['F32', Uint16Array.of(1)],
    ['I32', Uint16Array.of(1)],
  ] as const)('is not written as %s of %o', async (dtype, data) => {
    await expectCode('INVALID_TENSOR', () => writeSafetensors({ v: { dtype, shape: [1], data } }));
  });

  it('is read where it is needed, and nowhere else', async () => {
    const size = 2 ** 31;
    const header = new TextEncoder().encode(JSON.stringify({ big: f32(0, size), small: f32(size, size + 256) }));
    const reads: number[] = [];
    const source: ByteSource = {
      size: 8 + header.length + size + 256,
      async read(offset, length) {
        reads.push(length);
        const bytes = new Uint8Array(length);
        if (offset === 0) new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
        if (offset === 8) bytes.set(header);
        return bytes;
      },
    };
    const file = await openSafetensors(source);
    expect((await file.read('small')).data.length).toBe(64);
    expect(reads).toEqual([8, header.length, 256]);
  });

  it('whose tensor is longer than an array is refused where it is read', async () => {
    const size = 2 ** 33;
    const header = new TextEncoder().encode(JSON.stringify({ big: f32(0, size), other: f32(size, size + 8) }));
    const start = fileOf(new TextDecoder().decode(header), 0);
    const source: ByteSource = {
      size: start.length + size + 8,
      read: async (offset, length) => {
        if (length === 8 && offset > 0) throw new RangeError('Array buffer allocation failed');
        return start.subarray(offset, offset + length);
      },
    };
    const file = await openSafetensors(source);
    await expectCode('LIMIT_EXCEEDED', () => file.read('big'), /8589934592 bytes of 'big'/);
    await expectCode('LIMIT_EXCEEDED', () => file.read('other'), /8 bytes of 'other'/);
  });

  it.each([
    ['nothing', new Uint8Array(0), /0 bytes/],
    ['a header beyond its end', fileOf({}, 0, 100), /100 bytes at 8/],
    ['a header of 2⁶³ bytes', fileOf({}, 0, 2 ** 62), /header of/],
    ['no JSON', fileOf('{"a":', 0), /no JSON/],
    ['a list', fileOf([], 0), /array of 0/],
    ['a gap', fileOf({ a: f32(0, 4), b: f32(8, 12) }, 12), /'b' from byte 8/],
    ['an overlap', fileOf({ a: f32(0, 8), b: f32(4, 12) }, 12), /'b' from byte 4/],
    ['bytes that no tensor has', fileOf({ a: f32(0, 4) }, 5), /5 bytes of tensors, expected 4/],
    ['tensors beyond its end', fileOf({ a: f32(0, 8) }, 4), /4 bytes of tensors, expected 8/],
    ['a shape that does not fit', fileOf({ a: { ...f32(0, 8), shape: [3] } }, 8), /8 bytes of 'a', expected 12/],
    ['a shape that overflows', fileOf({ a: { ...f32(0, 8), shape: [2 ** 40, 2 ** 40] } }, 8), /elements of 'a'/],
    ['a negative size', fileOf({ a: { ...f32(0, 8), shape: [-2] } }, 8), /shape \[-2\] of 'a'/],
    ['offsets in the wrong order', fileOf({ a: { ...f32(0, 8), data_offsets: [8, 0] } }, 8), /data_offsets/],
    ['no type', fileOf({ a: { shape: [], data_offsets: [0, 0] } }, 0), /dtype undefined/],
    ['a tensor that is a number', fileOf({ a: 1 }, 0), /'a': 1/],
    ['metadata that are no texts', fileOf({ __metadata__: { a: 1 } }, 0), /__metadata__\.a 1/],
    [
      'a key twice',
      fileOf(`{"a":${JSON.stringify(f32(0, 4))}, "\\u0061" :${JSON.stringify(f32(0, 4))}}`, 4),
      /two keys 'a'/,
    ],
    ['a key of metadata twice', fileOf('{"__metadata__":{"\\"b":"b","c":"c:{","\\"b":"d"}}', 0), /two keys '"b'/],
    ['a tensor called __proto__ that is none', fileOf('{"__proto__":{"dtype":"F32"}}', 0), /'__proto__'/],
  ])('is refused: %s', async (_, bytes, message) => {
    await expectCode('INVALID_FILE', () => openSafetensors(bytes), message);
  });

  it('whose running statistics do not fit each other has the other batch norms, and warnings', async () => {
    const vector = (C: number): FileTensor => ({ dtype: 'F32', shape: [C], data: new Float32Array(C) });
    const matrix: FileTensor = { dtype: 'F32', shape: [1, 2], data: new Float32Array(2) };
    const scalar: FileTensor = { dtype: 'F32', shape: [], data: new Float32Array(1) };
    const tensors = {
      ...{ 'a.running_mean': vector(2), 'a.running_var': vector(3) },
      ...{ 'b.running_mean': matrix, 'b.running_var': matrix },
      ...{ 'c.running_mean': vector(4), 'c.running_var': vector(4) },
      ...{ 'd.running_mean': scalar, 'd.running_var': scalar, 'loss.running_mean': scalar },
      'e/moving_mean': vector(2),
    };
    const file = await openSafetensors(writeSafetensors(tensors));
    expect(findBatchNorms(file).map(({ name, channels }) => [name, channels])).toEqual([['c', 4]]);
    const warnings = new Map<string, readonly string[]>();
    for await (const one of inspect(file)) warnings.set(one.name, one.warnings);
    expect([...warnings.keys()].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'loss']);
    expect(warnings.get('a')).toEqual(['no batch norm: running_mean of shape [2], running_var of [3]']);
    expect(warnings.get('d')).toEqual(['no batch norm: running_mean of shape [], running_var of []']);
    expect(warnings.get('loss')).toEqual(['no batch norm: running_mean of shape [], no running_var']);
    expect(warnings.get('e')).toEqual(['no batch norm: moving_mean of shape [2], no moving_variance']);
  });

  it('names what it lacks, and what is not read', async () => {
    const file = await openSafetensors(fileOf({ a: { dtype: 'F8_E4M3', shape: [3], data_offsets: [0, 3] } }, 3));
    await expectCode('INVALID_OPTION', () => file.read('b'), /'b'/);
    await expectCode('UNSUPPORTED', () => file.read('a'), /'F8_E4M3'/);
  });

  it('is not written where data and shape do not agree', async () => {
    const tensor = { dtype: 'F32', shape: [3], data: new Float32Array(2) } as const;
    await expectCode('INVALID_TENSOR', () => writeSafetensors({ tensor }), /2 elements of 'tensor'/);
    await expectCode('INVALID_OPTION', () => writeSafetensors({ __metadata__: tensor }), /__metadata__/);
  });
});

describe('a model of several files', () => {
  const tensor = (value: number): FileTensor => ({ dtype: 'F32', shape: [1], data: Float32Array.of(value) });
  const shards: Readonly<Record<string, Uint8Array>> = {
    'one.safetensors': writeSafetensors({ a: tensor(1), b: tensor(2) }),
    'two.safetensors': writeSafetensors({ c: tensor(3) }),
  };
  const index = (map: unknown) => new TextEncoder().encode(JSON.stringify({ metadata: {}, weight_map: map }));
  const all = { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' };

  it('has the tensors of all, and opens each once', async () => {
    const opened: string[] = [];
    const file = await openShardedSafetensors(index(all), (name) => {
      opened.push(name);
      return shards[name]!;
    });
    expect(opened).toEqual(['one.safetensors', 'two.safetensors']);
    expect([...file.tensors.keys()]).toEqual(['a', 'b', 'c']);
    for (const [k, name] of ['a', 'b', 'c'].entries()) expect(await file.read(name)).toEqual(tensor(k + 1));
    await expectCode('INVALID_OPTION', () => file.read('d'), /'d'/);
  });

  it.each([
    ['a path to elsewhere', { a: '../secret' }, /'\.\.\/secret'/],
    ['the folder above', { a: '..' }, /'\.\.'/],
    ['what is no name', { a: 1 }, /a file 1/],
    ['a tensor that the file lacks', { d: 'two.safetensors' }, /without 'd'/],
    ['no map', undefined, /weight_map/],
  ])('is refused: %s', async (_, map, message) => {
    await expectCode('INVALID_FILE', () => openShardedSafetensors(index(map), (name) => shards[name]!), message);
  });
});
