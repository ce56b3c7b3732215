// Files of torch.save.
import { existsSync } from 'node:fs';
import { expectCode } from '@batchnorm/testing/expect-code';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { openPyTorch, openSafetensors } from '../src/index.js';
import { fixture } from './fixtures.js';

/** An archive with any pickle. */
const archive = (...pickle: readonly (number | string)[]) =>
  zipSync({ 'archive/data.pkl': bytes(...pickle), 'archive/data/0': new Uint8Array(8) }, { level: 0 });

function bytes(...parts: readonly (number | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => (typeof part === 'number' ? [part] : [...new TextEncoder().encode(part)])),
  );
}

const storage = [
  '(',
  'X',
  7,
  0,
  0,
  0,
  'storage',
  'ctorch\nFloatStorage\n',
  'X',
  1,
  0,
  0,
  0,
  '0',
  'N',
  'K',
  2,
  'tQ',
] as const;
/** A tensor of two elements with these offset, size and stride, in opcodes. */
const tensor = (offset: number, size: number, stride: number) =>
  [
    'ctorch._utils\n_rebuild_tensor_v2\n',
    '(',
    ...storage,
    'K',
    offset,
    'K',
    size,
    0x85,
    'K',
    stride,
    0x85,
    'tR',
  ] as const;

describe('a file of torch.save', () => {
  it('has the tensors of a state dict', async () => {
    const file = await openPyTorch(await fixture('state-dict.pt'));
    const expected = await openSafetensors(await fixture('model.safetensors'));
    expect([...file.tensors.keys()].sort()).toEqual([...expected.tensors.keys()].sort());
    for (const name of expected.tensors.keys()) expect(await file.read(name)).toEqual(await expected.read(name));
  });

  it('has tensors within dicts and lists, of every type, and parts of storages', async () => {
    const file = await openPyTorch(await fixture('types.pt'));
    const expected = await openSafetensors(await fixture('types.safetensors'));
    for (const name of expected.tensors.keys()) {
      expect(await file.read(`state.${name}`), name).toEqual(await expected.read(name));
    }
    expect(await file.read('list.0')).toEqual({ dtype: 'F32', shape: [1], data: Float32Array.of(1) });
    expect(file.tensors.size).toBe(expected.tensors.size + 1);
  });

  it('is never executed', async () => {
    await expectCode('UNSUPPORTED', async () => openPyTorch(await fixture('executes.pt')), /system/);
    expect(existsSync('executed')).toBe(false);
  });

  it('is refused where it holds more than tensors', async () => {
    await expectCode(
      'UNSUPPORTED',
      async () => openPyTorch(await fixture('whole-model.pt')),
      /an object of '[\w.]+', .+ save model\.state_dict\(\)/,
    );
    await expectCode('UNSUPPORTED', async () => openPyTorch(await fixture('before-1.6.pt')), /1\.6/);
  });

  it.each([
    ['no pickle', zipSync({ 'a/b': new Uint8Array(1) }), 'INVALID_FILE', /data\.pkl/],
    ['no archive', bytes('hello'), 'INVALID_FILE', /no archive/],
    ['a pickle without an end', archive(0x80, 2, '}'), 'INVALID_FILE', /its end/],
    ['an empty stack', archive(0x80, 2, '.'), 'INVALID_FILE', /stack/],
    ['a mark that is not there', archive(0x80, 2, 't.'), 'INVALID_FILE', /mark/],
    ['a memo that is not there', archive(0x80, 2, 'h', 7, '.'), 'INVALID_FILE', /memo 7/],
    ['a list in itself', archive(0x80, 2, ']', 'q', 0, 'h', 0, 'a.'), 'INVALID_FILE', /within itself/],
    ['a dict in itself', archive(0x80, 2, '}', 'q', 0, 'K', 1, 'h', 0, 's.'), 'INVALID_FILE', /within itself/],
    ['lists in lists, 200 deep', archive(0x80, 2, ']'.repeat(200), 'a'.repeat(199), '.'), 'INVALID_FILE', /100 deep/],
    [
      'lists of two times the same',
      archive(0x80, 2, ']', ...Array.from({ length: 40 }, (_, k) => ['q', k, '0(', 'h', k, 'h', k, 't']).flat(), '.'),
      'INVALID_FILE',
      /more than/,
    ],
    [
      'an object that is made',
      archive(0x80, 2, 'c__main__\nModel\n', ')', 0x81, '.'),
      'UNSUPPORTED',
      /'__main__\.Model'.+state_dict/,
    ],
    ['an opcode of other pickles', archive(0x80, 2, 'I1\n.'), 'UNSUPPORTED', /opcode 0x49/],
    [
      'a model of TorchScript',
      zipSync({ 'm/data.pkl': bytes(0x80, 2, '}.'), 'm/constants.pkl': bytes(0x80, 2, ').') }),
      'UNSUPPORTED',
      /TorchScript.+state_dict/,
    ],
    ['a getattr', archive(0x80, 2, 'cbuiltins\ngetattr\n', ')R.'), 'UNSUPPORTED', /builtins\.getattr/],
    ['a name of Object', archive(0x80, 2, 'cconstructor\nconstructor\n', ')R.'), 'UNSUPPORTED', /constructor/],
    ['a view beyond its storage', archive(0x80, 2, ...tensor(1, 2, 1), '.'), 'INVALID_FILE', /at 1 of 2 elements/],
    ['a view that shows too much', archive(0x80, 2, ...tensor(0, 200, 0), '.'), 'INVALID_FILE', /of 2 elements/],
  ] as const)('is refused: %s', async (_, file, code, message) => {
    await expectCode(code, () => openPyTorch(file), message);
  });

  it('whose storage is not there or too short is refused where it is read', async () => {
    const pickle = bytes(0x80, 2, ...tensor(0, 2, 1), '.');
    for (const files of [{}, { 'archive/data/0': new Uint8Array(7) }]) {
      const file = await openPyTorch(zipSync({ 'archive/data.pkl': pickle, ...files }, { level: 0 }));
      await expectCode('INVALID_FILE', () => file.read('tensor'), /storage|bytes/);
    }
    const whole = await openPyTorch(archive(0x80, 2, ...tensor(0, 2, 1), '.'));
    expect((await whole.read('tensor')).data).toEqual(new Float32Array(2));
  });

  /** A text of a pickle. */
  const text = (value: string) => ['X', value.length & 255, (value.length >> 8) & 255, value.length >> 16, 0, value];

  it('whose names would be longer than memory is refused', async () => {
    const long = 'k'.repeat(100_000);
    const nested = ['}', 'h', 0, ...Array.from({ length: 89 }, () => ['}', 'h', 0]).flat()];
    const deep = ['}', ...text(long), 'q', 0, '0', ...nested, ...tensor(0, 2, 1), 's'.repeat(90), '.'];
    await expectCode('LIMIT_EXCEEDED', () => openPyTorch(archive(0x80, 2, ...deep)), /100001 characters/);
    // Each short enough, and together 100 MB.
    const [key, count] = ['k'.repeat(9_900), 10_000];
    const items = Array.from({ length: count }, (_, k) => ['M', k & 255, k >> 8, 'h', 1]).flat();
    const wide = ['}', ...text(key), ...tensor(0, 2, 1), 'q', 1, '0', '}(', ...items, 'us.'];
    await expectCode('LIMIT_EXCEEDED', () => openPyTorch(archive(0x80, 2, ...wide)), /67108864 characters/);
  });

  it('that has two tensors of one name is refused', async () => {
    const leaf = tensor(0, 2, 1);
    const numbers = ['}', 'K', 1, ...leaf, 's', ...text('1'), ...leaf, 's.'];
    await expectCode('INVALID_FILE', () => openPyTorch(archive(0x80, 2, ...numbers)), /two tensors '1'/);
    const paths = ['}', ...text('a'), '}', ...text('b'), ...leaf, 'ss', ...text('a.b'), ...leaf, 's.'];
    await expectCode('INVALID_FILE', () => openPyTorch(archive(0x80, 2, ...paths)), /two tensors 'a\.b'/);
  });

  it('has keys that mean nothing here', async () => {
    const key = ['X', 9, 0, 0, 0, '__proto__'] as const;
    const file = await openPyTorch(archive(0x80, 2, '}', ...key, ...tensor(0, 2, 1), 's.'));
    expect([...file.tensors.keys()]).toEqual(['__proto__']);
  });
});
