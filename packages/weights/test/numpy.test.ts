// Arrays of NumPy.

import { expectCode } from '@batchnorm/testing/expect-code';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { type FileTensor, openNpy, openNpz, writeNpy, writeNpz } from '../src/index.js';
import { fixture } from './fixtures.js';

/** A .npy file with any header. */
function npy(header: string, bytes: number, version = 1): Uint8Array {
  const file = new Uint8Array(10 + header.length + bytes);
  file.set([0x93, ...new TextEncoder().encode('NUMPY'), version, 0]);
  new DataView(file.buffer).setUint16(8, header.length, true);
  file.set(new TextEncoder().encode(header), 10);
  return file;
}

const header = (descr: string, shape: string, order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;

describe('a .npy file', () => {
  it('is read row-major, whatever its order', async () => {
    const file = await openNpy(await fixture('fortran.npy'));
    const counting = Float32Array.from({ length: 24 }, (_, k) => k);
    expect(await file.read('arr_0')).toEqual({ dtype: 'F32', shape: [2, 3, 4], data: counting });
  });

  it('is read whatever its byte order', async () => {
    const file = await openNpy(await fixture('big-endian.npy'));
    expect((await file.read('arr_0')).data).toEqual(Float64Array.of(1.5, -2, 1e10));
  });

  it.each<FileTensor>([
    { dtype: 'F64', shape: [2, 1], data: Float64Array.of(0.1, Number.NaN) },
    { dtype: 'F16', shape: [1], data: Float32Array.of(1.5) },
    { dtype: 'I64', shape: [], data: BigInt64Array.of(-1n) },
    { dtype: 'BOOL', shape: [0], data: new Uint8Array(0) },
  ])('is the same when it is written: $dtype of shape $shape', async (tensor) => {
    const bytes = writeNpy(tensor);
    expect((bytes.length - tensor.data.byteLength / (tensor.dtype === 'F16' ? 2 : 1)) % 64).toBe(0);
    expect(await (await openNpy(bytes)).read('arr_0')).toEqual(tensor);
  });

  it.each([
    ['another magic string', new Uint8Array(100), /magic/],
    ['another version', npy(header('<f4', '(1,)'), 4, 9), /version 9/],
    ['an object', npy(header('|O', '(1,)'), 8), /\|O/],
    ['a record', npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4), /header/],
    ['no shape', npy("{'descr': '<f4', 'fortran_order': False}", 4), /header/],
    ['code in the shape', npy(header('<f4', '(exit(),)'), 4), /exit/],
    ['a shape that does not fit', npy(header('<f4', '(2,)'), 4), /4 bytes of the array, expected 8/],
    ['a shape that overflows', npy(header('<f4', '(9007199254740993, 2)'), 4), /elements|shape/],
    ['a header beyond its end', npy(header('<f4', '(1,)'), 0).subarray(0, 20), /20 bytes/],
  ])('is refused: %s', async (_, bytes, message) => {
    await expectCode('INVALID_FILE', () => openNpy(bytes), message);
  });

  it('that is longer than an array is refused where it is read', async () => {
    const start = npy(header('<f4', `(${2 ** 31},)`), 0);
    const read = async (offset: number, length: number) => start.subarray(offset, offset + length);
    const file = await openNpy({ size: start.length + 2 ** 33, read });
    await expectCode('LIMIT_EXCEEDED', () => file.read('arr_0'), /8589934592 bytes/);
  });

  it('is not written of what NumPy lacks', async () => {
    const tensor = { dtype: 'BF16', shape: [1], data: Float32Array.of(1) } as const;
    await expectCode('UNSUPPORTED', () => writeNpy(tensor), /'BF16'/);
  });
});

describe('a .npz file', () => {
  it.each([
    ['arrays.npz', 100],
    ['compressed.npz', 5000],
  ])('has arrays of every type: %s', async (name, zeros) => {
    const file = await openNpz(await fixture(name));
    const data = async (key: string) => (await file.read(key)).data;
    expect(await data('f2')).toEqual(Float32Array.of(1.5, -2));
    expect(await file.read('i8')).toEqual({ dtype: 'I64', shape: [1, 2], data: BigInt64Array.of(2n ** 40n, -1n) });
    expect(await data('u1')).toEqual(Uint8Array.of(0, 255));
    expect(await data('b1')).toEqual(Uint8Array.of(1, 0));
    expect(await file.read('scalar')).toEqual({ dtype: 'F32', shape: [], data: Float32Array.of(7) });
    expect(await data('zeros')).toEqual(new Float32Array(zeros));
  });

  it('is the same when it is written, and the same bytes each time', async () => {
    const tensors: Readonly<Record<string, FileTensor>> = {
      'bn1.weight': { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
      empty: { dtype: 'F64', shape: [0], data: new Float64Array(0) },
    };
    const bytes = writeNpz(tensors);
    expect(writeNpz(tensors)).toEqual(bytes);
    const file = await openNpz(bytes);
    for (const [name, tensor] of Object.entries(tensors)) expect(await file.read(name)).toEqual(tensor);
  });

  it.each([0, 6] as const)('is refused where bytes are not those of its checksum, at level %i', async (level) => {
    const data = Float32Array.from({ length: 100 }, (_, k) => k % 7);
    const files = {
      'a.npy': writeNpy({ dtype: 'F32', shape: [100], data }),
      'b.npy': writeNpy({ dtype: 'F32', shape: [0], data: new Float32Array(0) }),
    };
    const archive = zipSync(files, { level });
    const file = await openNpz(archive);
    expect((await file.read('a')).data).toEqual(data);
    expect((await file.read('b')).data).toHaveLength(0);
    // In the directory, which lies at the end: the signature of its first entry, and 16 bytes later the checksum.
    const directory = archive.findLastIndex(
      (_, at) => archive.subarray(at, at + 4).join() === '80,75,1,2' && archive[at + 46] === 97,
    );
    const spoiled = archive.slice();
    spoiled[directory + 16]! ^= 1;
    await expectCode('INVALID_FILE', async () => (await openNpz(spoiled)).read('a'), /checksum/);
    expect((await (await openNpz(spoiled)).read('b')).data).toHaveLength(0);
  });

  const array: FileTensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };

  it('keeps any name that it can hold', async () => {
    const names = [
      'a',
      '\ufeffa',
      '\u{1f600}',
      '__proto__',
      'a/b',
      '..',
      ' ',
      'x'.repeat(65_531),
      '\u00fc'.repeat(32_765),
    ];
    const file = await openNpz(writeNpz(new Map(names.map((name) => [name, array]))));
    expect([...file.tensors.keys()]).toEqual(names);
  });

  it.each([
    ['nothing', ''],
    ['one byte too many', 'x'.repeat(65_532)],
    ['one letter of two bytes too many', '\u00fc'.repeat(32_766)],
    ['half a character', '\ud800'],
    ['the other half, behind a letter', 'a\udc00'],
    ['a number', 5],
  ])('is not written with a name of %s', (_, name) =>
    expectCode('INVALID_OPTION', () => writeNpz(new Map([[name as string, array]]))),
  );

  it('is not written of more tensors than an archive counts', () => {
    const none: FileTensor = { dtype: 'F32', shape: [0], data: new Float32Array(0) };
    const many = new Map(Array.from({ length: 65_536 }, (_, k) => [`${k}`, none] as const));
    return expectCode('LIMIT_EXCEEDED', () => writeNpz(many), /65536 tensors/);
  });

  it('that has two arrays of one name is refused', async () => {
    const array = writeNpy({ dtype: 'F32', shape: [1], data: Float32Array.of(1) });
    await expectCode('INVALID_FILE', () => openNpz(zipSync({ a: array, 'a.npy': array })), /entries 'a' and 'a\.npy'/);
    const names = { a: 1, 'a.npy': 2 };
    const tensors = Object.entries(names).map(([name, value]) => {
      return [name, { dtype: 'F32', shape: [1], data: Float32Array.of(value) }] as const;
    });
    expect([...(await openNpz(writeNpz(new Map(tensors)))).tensors.keys()]).toEqual(Object.keys(names));
  });
});
