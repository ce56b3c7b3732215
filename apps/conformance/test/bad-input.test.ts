// What the command can't do anything with: it exits with 2, says file, case, key and reason, and runs nothing.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './command.js';
import { golden } from './golden.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-bad-'));
});
const write = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));

/** The lines of a refusal. */
async function refusal(...args: readonly string[]): Promise<string[]> {
  const { code, output } = await runCommand(folder, ['--backend', 'js', '--json', 'out.json', ...args]);
  expect({ code, output }).toMatchObject({ code: 2, output: expect.not.stringContaining('in node') });
  expect(output).not.toMatch(/^ +at /m);
  return output.trimEnd().split('\n');
}

const right = golden([4, 6, 4, 6]);
const [rightCase] = right.cases;
const line = (problem: string) => `malformed fixtures: ${problem}`;

describe('--fixtures exits with 2 and names', () => {
  const changed = (change: object) => ({ ...right, cases: [{ ...rightCase, ...change }] });
  const step = (change: object) => changed({ steps: [{ ...rightCase!.steps[0], ...change }] });
  const errorOf = (change: object) => ({
    format: 2,
    cases: [
      {
        name: 'one',
        options: { numFeatures: 1 },
        steps: [{ training: true, x: { shape: [2, 1], data: [1, 2] }, ...change }],
      },
    ],
  });
  const files: Record<string, readonly [content: unknown, problem: RegExp]> = {
    'text that is no JSON': ['{ "format": 1, ', /^bad\.json: received \S.*, expected JSON$/],
    'NaN, as Python writes it': ['{ "format": 2, "cases": NaN }', /^bad\.json: received \S.*NaN.*, expected JSON$/],
    'an empty file': ['', /^bad\.json: received \S.*, expected JSON$/],
    'no cases': [{ format: 1 }, /^bad\.json: cases: received nothing, expected an array of cases$/],
    'an unknown format': [{ ...right, format: 7 }, /^bad\.json: format: received 7, expected 1 or 2$/],
    'an unknown key': [
      step({ runningVar: 1 }),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.steps\[0\]\.runningVar: received an unknown key, expected one of x, y, /,
    ],
    'a key twice': [
      JSON.stringify(right).replace('"epsilon":3', '"epsilon":1,"epsilon":3'),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.epsilon: received a key again, expected it once$/,
    ],
    'values within values': [
      `{ "format": 2, "cases": ${'['.repeat(100_000)}${']'.repeat(100_000)} }`,
      /^bad\.json: received values within values, too many, expected cases, steps and arrays$/,
    ],
    'a number that is none': [
      JSON.stringify(right).replace('[4,6,4,6]', '[1e400,6,4,6]'),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.steps\[0\]\.y\.data\[0\]: received Infinity, expected a finite number, /,
    ],
    'an error that can not be': [
      errorOf({ error: 'SINGLE_VALUE' }),
      /^bad\.json: case 'one' \(cases\[0\]\)\.steps\[0\]\.error: received 'SINGLE_VALUE', expected none: the layer takes this x$/,
    ],
    'a name of spaces': [changed({ name: '  ' }), /name: received ' {2}', expected a name$/],
    'a case without steps': [
      changed({ steps: [] }),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.steps: received no steps, expected at least one$/,
    ],
    'a wrong length': [
      step({ y: { shape: [4, 1], data: [1] } }),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.steps\[0\]\.y\.data: received 1 numbers, expected 4, as shape \[4, 1\] has$/,
    ],
    'an impossible option': [
      changed({ epsilon: -1 }),
      /^bad\.json: case 'by hand' \(cases\[0\]\)\.epsilon: received -1, expected a finite number that is not negative$/,
    ],
    'a name twice': [
      { ...right, cases: [rightCase, rightCase] },
      /^bad\.json: case 'by hand' \(cases\[1\]\)\.name: received the name of cases\[0\], expected one of its own$/,
    ],
  };
  it.each(Object.entries(files))('%s', async (_, [content, problem]) => {
    await write('right.json', right);
    await write('bad.json', content);
    const [first, ...more] = await refusal('--fixtures', '.');
    expect(first).toMatch(/^malformed fixtures: /);
    expect(first!.slice(line('').length)).toMatch(problem);
    expect(more).toEqual([]);
  });

  it('every file that is malformed, and every case', async () => {
    await write('a.json', { format: 2, cases: [] });
    await write('b.json', right);
    await write('c.json', { ...right, cases: [changed({ name: '' }).cases[0], changed({ steps: [] }).cases[0]] });
    await mkdir(join(folder, 'd.json'));
    expect(await refusal('--fixtures', '.')).toEqual([
      line('a.json: cases: received an array of 0, expected at least one case'),
      line("c.json: cases[0].name: received '', expected a name"),
      line("c.json: case 'by hand' (cases[1]).steps: received no steps, expected at least one"),
      expect.stringMatching(/^malformed fixtures: d\.json: received EISDIR.*, expected a file that can be read$/),
    ]);
  });

  it('a folder without JSON, and what is no folder', async () => {
    await write('notes.txt', 'none');
    expect(await refusal('--fixtures', '.')).toEqual([line(`${folder}: received no *.json, expected at least one`)]);
    for (const [path, code] of [
      ['absent', 'ENOENT'],
      ['notes.txt', 'ENOTDIR'],
    ] as const) {
      const [first] = await refusal('--fixtures', path);
      expect(first).toMatch(
        new RegExp(`^malformed fixtures: .*${path}: received ${code}.*, expected a folder of \\*\\.json$`),
      );
    }
  });
});

it('--fixtures takes a file that begins with a byte order mark, and one whose name ends with .JSON', async () => {
  await write('a.json', `\uFEFF${JSON.stringify(right)}`);
  await write('B.JSON', { ...right, cases: [{ ...rightCase, why: null }] });
  const { code, output } = await runCommand(folder, ['--backend', 'js', '--fixtures', '.']);
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('4 passed, 0 failed') });
});

it('--fixtures exits with 2 for bytes that are no text', async () => {
  await writeFile(join(folder, 'bad.json'), Uint8Array.of(0x7b, 0xff, 0x7d));
  expect(await refusal('--fixtures', '.')).toEqual([line('bad.json: received bytes that are no UTF-8, expected JSON')]);
});

it('--fixtures takes the same name in two files', async () => {
  await write('a.json', right);
  await write('b.json', right);
  const { code, output } = await runCommand(folder, ['--backend', 'js', '--fixtures', '.']);
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('4 passed, 0 failed') });
});

describe('a flag that nobody can mean exits with 2:', () => {
  const flags = [
    ['--backend', 'cuda'],
    ['--backend', ''],
    ['--backend', 'wasm,'],
    ['--backend', 'js'], // beside that of refusal()
    ['--backend', 'wasm-1,wasm-1'],
    ['--dtype', 'bfloat16'],
    ['--dtype', ''],
    ['--dtype', 'float32', 'float32'],
    ['--dtype'],
    ['--fixtures', ''],
    ['--fixtures', 'a', '--fixtures', 'b'],
    ['--json', 'again.json'],
    ['--report', ''],
    ['--chromium', ''],
    ['--nonsense'],
    ['stray'],
  ];
  it.each(flags.map((args) => [args.map((arg) => arg || "''").join(' '), args] as const))('%s', async (_, args) => {
    const [first] = await refusal(...args);
    expect(first).toMatch(/^error: .*\S/);
  });

  it('and says what was expected', async () => {
    expect(await refusal('--dtype', 'bfloat16')).toEqual([
      "error: option '--dtype <dtype...>' argument 'bfloat16' is invalid. Expected float32, float64, float16.",
    ]);
    expect(await refusal('--dtype', 'float32,float32')).toEqual([
      "error: option '--dtype <dtype...>' argument 'float32,float32' is invalid. Expected each name once.",
    ]);
    expect(await refusal('--fixtures', '')).toEqual([
      "error: option '--fixtures <dir>' argument '' is invalid. Expected a path.",
    ]);
  });
});
