// Tables in terminals of any width: no line is longer, and nothing is lost.
import { stripVTControlCharacters, styleText } from 'node:util';
import { describe, expect, it } from 'vitest';
import { right } from '../src/index.js';
import { textTable } from '../src/terminal.js';

const columns = [
  'backend',
  'platform',
  ...['golden', 'exact', 'behaviour', 'kernels'].map(right),
  { head: 'runs on', width: 40 },
];
const row = (name: string) => [
  ...[name, 'chromium', '1002 pass\n2 refused', '28 pass', '40 pass', '17 pass'],
  'WebAssembly SIMD on cpu, 2 threads, sums in float64',
];
const rows = ['js', 'wasm-1', 'gpujs-headlessgl'].map(row);
const longest = (text: string) => Math.max(...text.split('\n').map((line) => stripVTControlCharacters(line).length));
const words = (texts: readonly string[]) => new Set(texts.flatMap((text) => text.split(/[\s,│]+/)));
const all = words([...rows.flat(), ...columns.map((column) => (typeof column === 'string' ? column : column.head))]);

describe.each([20, 40, 60, 80, 120, 200])('a table in %d columns', (width) => {
  it.each([
    ['several rows', rows],
    ['one row', rows.slice(0, 1)],
  ])('of %s is no wider', (_, some) => {
    expect(longest(textTable(columns, some, { width, keys: 2 }))).toBeLessThanOrEqual(width);
  });

  it('says everything', () => {
    // Below 30 columns a word may be longer than its place.
    if (width < 30) return;
    const said = words([textTable(columns, rows, { width, keys: 2 })]);
    expect([...all].filter((word) => !said.has(word))).toEqual([]);
  });
});

describe('a table', () => {
  it('has one line for each row where stdout is no terminal', () => {
    const lines = textTable(columns, [rows[1]!.map((text) => text.replace('\n', ' '))], { keys: 2 }).split('\n');
    expect(lines.filter((line) => line.includes('wasm-1'))).toHaveLength(1);
    expect(lines.every((line) => line.length === lines[0]!.length)).toBe(true);
  });

  it('breaks texts before anything else, and never a number', () => {
    const text = textTable(['name', right('time'), 'why'], [['a', '2.00 [1.00, 3.00]', 'a long reason, in words']], {
      width: 45,
    });
    expect(text).toContain('2.00 [1.00, 3.00]');
    expect(text).toMatch(/│ a long reason, │/);
    expect(longest(text)).toBeLessThanOrEqual(45);
  });

  it('that is too wide is several, each with the columns that say what a row is about', () => {
    const parts = textTable(columns, rows, { width: 80, keys: 2 }).split(/\n(?=┌)/);
    expect(parts.length).toBeGreaterThan(1);
    for (const part of parts) expect(part).toMatch(/│ backend +│ platform +│.*│ gpujs-headlessgl │ chromium/s);
  });

  it('of one row that is too wide is a list of its cells', () => {
    expect(textTable(columns, rows.slice(0, 1), { width: 60, keys: 2 })).toBe(
      [
        'backend    js',
        'platform   chromium',
        'golden     1002 pass, 2 refused',
        'exact      28 pass',
        'behaviour  40 pass',
        'kernels    17 pass',
        'runs on    WebAssembly SIMD on cpu, 2 threads, sums in',
        '           float64',
      ].join('\n'),
    );
  });

  it('does not count colours', () => {
    const painted = rows.map((cells) => cells.map((text) => styleText('red', text, { validateStream: false })));
    const plain = textTable(columns, rows, { width: 200 });
    expect(stripVTControlCharacters(textTable(columns, painted, { width: 200 }))).toBe(plain);
  });
});
