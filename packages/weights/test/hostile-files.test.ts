// Files that are broken, cut off or made to harm: whatever they say, a reader ends soon with tensors or with a code.
import { BatchNormError } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { zipSync } from 'fflate';
import * as jsfive from 'jsfive';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  inspect,
  openKeras,
  openNpy,
  openNpz,
  openOnnx,
  openPyTorch,
  openSafetensors,
  openTfjs,
  type TensorFile,
  writeNpy,
} from '../src/index.js';
import { fixture } from './fixtures.js';

// jsfive tells the console what it does not know.
beforeAll(() => void vi.spyOn(console, 'warn').mockImplementation(() => undefined));
afterAll(() => void vi.restoreAllMocks());

const model = {
  modelTopology: { layers: [{ class_name: 'BatchNormalization', config: { name: 'bn', axis: 1 } }] },
  weightsManifest: [
    {
      paths: ['a.bin'],
      weights: ['moving_mean', 'moving_variance'].map((name) => ({ name: `bn/${name}`, shape: [3], dtype: 'float32' })),
    },
  ],
};

const formats: readonly (readonly [
  name: string,
  bytes: Uint8Array,
  open: (bytes: Uint8Array) => Promise<TensorFile>,
])[] = [
  ['safetensors', await fixture('model.safetensors'), openSafetensors],
  ['safetensors of all types', await fixture('types.safetensors'), openSafetensors],
  ['npy', await fixture('fortran.npy'), openNpy],
  ['npz', await fixture('arrays.npz'), openNpz],
  ['compressed npz', await fixture('compressed.npz'), openNpz],
  ['PyTorch', await fixture('state-dict.pt'), openPyTorch],
  ['PyTorch of all types', await fixture('types.pt'), openPyTorch],
  ['ONNX', await fixture('model.onnx'), openOnnx],
  ['Keras', await fixture('keras.keras'), (bytes) => openKeras(bytes, jsfive)],
  ['HDF5', await fixture('keras.h5'), (bytes) => openKeras(bytes, jsfive)],
  ['tfjs', new TextEncoder().encode(JSON.stringify(model)), (bytes) => openTfjs(bytes, () => new Uint8Array(24))],
];

/** mulberry32: numbers in [0, 1), the same for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that sizes, counts and types are made wrong with. */
const telling = [0, 1, 0x7f, 0x80, 0xff];

function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  const below = (end: number) => Math.floor(random() * end);
  let file = bytes.slice();
  for (let edits = 1 + below(4); edits > 0 && file.length > 0; edits--) {
    // Headers are short and at the beginning or the end, and most bytes are elements.
    const place = random();
    const near = Math.min(file.length, 400);
    const at = place < 0.4 ? below(near) : place < 0.8 ? file.length - 1 - below(near) : below(file.length);
    const kind = below(6);
    if (kind === 0) file[at] = below(256);
    else if (kind === 1) file[at] = telling[below(telling.length)]!;
    else if (kind === 2) file[at]! ^= 1 << below(8);
    else if (kind === 3) file.fill(telling[below(telling.length)]!, at, at + 1 + below(8));
    else if (kind === 4) file = file.slice(0, at);
    else
      file = Uint8Array.from([
        ...file.subarray(0, at),
        ...file.subarray(below(file.length), at + below(16)),
        ...file.subarray(at),
      ]);
  }
  return file;
}

/** Reads all that there is to read. True: nothing was refused. */
async function readAll(open: (bytes: Uint8Array) => Promise<TensorFile>, bytes: Uint8Array): Promise<boolean> {
  try {
    const file = await open(bytes);
    for (const name of file.tensors.keys()) await file.read(name);
    for await (const one of inspect(file)) expect(one.channels).toBeGreaterThanOrEqual(0);
    return true;
  } catch (error) {
    if (!(error instanceof BatchNormError)) throw new Error('received an error without a code', { cause: error });
    expect(error.message).toMatch(/received .+, expected .+/s);
    return false;
  }
}

/** Of each format; 10,000 in all. */
const files = Math.ceil(10_000 / formats.length);

describe('a mutated file', () => {
  it.each(formats)('is read, or refused with a code: %s', async (name, bytes, open) => {
    expect(await readAll(open, bytes)).toBe(true);
    const random = randomOf(17);
    const before = process.memoryUsage().arrayBuffers;
    let refused = 0;
    for (let k = 0; k < files; k++) {
      const file = mutated(bytes, random);
      try {
        if (!(await readAll(open, file))) refused++;
      } catch (error) {
        throw new Error(`file ${k} of ${name}`, { cause: error });
      }
    }
    // Not a single one would mean that nothing was looked at.
    expect(refused).toBeGreaterThan(files / 20);
    // What is not garbage yet is in it, too: 256 MB would be files that were taken at their word.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 28);
  });

  it.each(formats)('that was cut off is refused: %s', async (_, bytes, open) => {
    for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 200)) {
      expect(await readAll(open, bytes.slice(0, length)), `${length} of ${bytes.length} bytes`).toBe(false);
    }
  });
});

describe('an archive', () => {
  const npy = writeNpy({ dtype: 'F32', shape: [2 ** 20], data: new Float32Array(2 ** 20) });
  const archive = zipSync({ 'zeros.npy': npy });
  /** Where the record of the directory begins, and the first entry in it. */
  const end = archive.length - 22;
  const first = new DataView(archive.buffer).getUint32(end + 16, true);
  const changed = (change: (view: DataView) => void) => {
    const copy = archive.slice();
    change(new DataView(copy.buffer));
    return copy;
  };

  it('that is small and holds much is read up to what it says', async () => {
    expect(archive.length).toBeLessThan(10_000);
    expect((await (await openNpz(archive)).read('zeros')).data.length).toBe(2 ** 20);
  });

  it.each([
    ['more than it is worth', 2 ** 30, 'LIMIT_EXCEEDED', /bytes of 'zeros.npy'/],
    ['more than can be deflated into it', 2 ** 27, 'INVALID_FILE', /out of/],
    ['less than there is', 2 ** 20, 'INVALID_FILE', /bytes/],
  ] as const)('that says it holds %s is refused', async (_, size, code, message) => {
    const bomb = changed((view) => view.setUint32(first + 24, size, true));
    await expectCode(code, async () => (await openNpz(bomb)).read('zeros'), message);
  });

  it('whose entries share their bytes is refused', async () => {
    const two = zipSync({ 'a.npy': npy, 'b.npy': npy }, { level: 0 });
    const view = new DataView(two.buffer);
    const directory = view.getUint32(two.length - 22 + 16, true);
    const second = directory + 46 + view.getUint16(directory + 28, true);
    view.setUint32(second + 42, 0, true);
    await expectCode('INVALID_FILE', () => openNpz(two), /over another/);
  });

  it('whose entry lies over the directory is refused', async () => {
    const over = changed((view) => view.setUint32(first + 42, first - 20, true));
    await expectCode('INVALID_FILE', () => openNpz(over), /over the directory/);
  });

  it('of ZIP64 is read, and refused where that is broken', async () => {
    const old = new DataView(archive.buffer);
    const headerLength = end - first;
    // The entry's sizes and offset in an extra field of ZIP64, then the record of ZIP64, its locator, and the old record.
    const wide = new Uint8Array(first + headerLength + 28 + 56 + 20 + 22);
    wide.set(archive.subarray(0, end));
    const view = new DataView(wide.buffer);
    view.setUint16(first + 30, 28, true);
    const extra = first + headerLength;
    view.setUint32(extra, 1 | (24 << 16), true);
    for (const [k, at] of [24, 20, 42].entries()) {
      view.setBigUint64(extra + 4 + 8 * k, BigInt(old.getUint32(first + at, true)), true);
      view.setUint32(first + at, 0xffffffff, true);
    }
    const record = extra + 28;
    view.setUint32(record, 0x06064b50, true);
    view.setBigUint64(record + 32, 1n, true);
    view.setBigUint64(record + 40, BigInt(headerLength + 28), true);
    view.setBigUint64(record + 48, BigInt(first), true);
    view.setUint32(record + 56, 0x07064b50, true);
    view.setBigUint64(record + 64, BigInt(record), true);
    wide.set(archive.subarray(end), record + 76);
    view.setUint32(record + 76 + 16, 0xffffffff, true);
    expect((await (await openNpz(wide)).read('zeros')).data.length).toBe(2 ** 20);
    view.setUint16(extra + 2, 8, true);
    await expectCode('INVALID_FILE', () => openNpz(wide), /too short/);
    view.setUint32(record, 0, true);
    await expectCode('INVALID_FILE', () => openNpz(wide), /no record of ZIP64/);
  });

  it('that is encrypted, or compressed otherwise, is refused', async () => {
    await expectCode('UNSUPPORTED', () => openNpz(changed((view) => view.setUint16(first + 8, 1, true))), /encrypted/);
    await expectCode(
      'UNSUPPORTED',
      () => openNpz(changed((view) => view.setUint16(first + 10, 93, true))),
      /method 93/,
    );
  });
});

it('JSON that is deep is read or refused', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const bytes = new TextEncoder().encode(`{"modelTopology":${deep},"weightsManifest":[]}`);
  expect(await readAll((file) => openTfjs(file, () => new Uint8Array(0)), bytes)).toBe(true);
});
