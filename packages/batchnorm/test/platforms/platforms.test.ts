// Every row of the table of docs/platforms.md, where it is true: what it says works trains a step, and what it says does
// not work rejects with a code.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { chromiumMissing, chromiumPath, isolationHeaders, launchChromium } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Findings } from './probe.js';
import { type Browser, bundle, inChromium, inRuntime, type Place } from './run.js';

interface Row {
  readonly where: string;
  readonly needs: string;
  /** 'yes' or 'no', by column. */
  readonly cells: Readonly<Record<string, string>>;
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

function readTable(): Row[] {
  const lines = readFileSync(new URL('../../../../docs/platforms.md', import.meta.url), 'utf8').split('\n');
  const [head, , ...rows] = lines.filter((line) => line.startsWith('|'));
  const [, , ...columns] = cellsOf(head!);
  return rows.map((line) => {
    const [where, needs, ...cells] = cellsOf(line);
    return { where: where!, needs: needs!, cells: Object.fromEntries(columns.map((name, n) => [name, cells[n]!])) };
  });
}

const rows = readTable();
const rowsOf = (...places: string[]) => rows.filter(({ where }) => places.includes(where));

/** The text in backquotes; undefined where the cell has none. */
const codeIn = (needs: string) => needs.match(/`([^`]+)`/)?.[1];

function expectAsInRow({ reasons, raw, platform }: Findings, { cells }: Row, runtime: string): void {
  expect(raw).toEqual([]);
  expect(platform).toMatch(new RegExp(`^${runtime}`));
  // A note in place of yes or no: it depends on the machine.
  const answers = Object.entries(cells).filter(([, cell]) => ['yes', 'no'].includes(cell));
  const works = (name: string) => (reasons[name] === '' ? 'yes' : `no: ${reasons[name]}`);
  const found = Object.fromEntries(answers.map(([name]) => [name, works(name)]));
  const said = Object.fromEntries(
    answers.map(([name, cell]) => [name, cell === 'yes' ? 'yes' : expect.stringMatching(/^no: ./)]),
  );
  expect(found).toEqual(said);
}

const bundled = await bundle();
afterAll(() => bundled[Symbol.dispose]());

/** Deno's binary, which a package for this platform has; undefined where there is none. */
function deno(): string | undefined {
  const { platform, arch } = process;
  const target = `${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`;
  const { resolve } = createRequire(import.meta.url);
  try {
    const file = platform === 'win32' ? 'deno.exe' : 'deno';
    return createRequire(resolve('deno/package.json')).resolve(`@deno/${target}/${file}`);
  } catch {
    return undefined;
  }
}

/** The environment variable BUN_PATH, else Bun on PATH. */
function bun(): string | undefined {
  const folders = process.env.PATH?.split(delimiter) ?? [];
  return [process.env.BUN_PATH, ...folders.map((folder) => join(folder, 'bun'))].find((path) => {
    try {
      return path !== undefined && execFileSync(path, ['--version']).length > 0;
    } catch {
      return false;
    }
  });
}

const runtimes = [
  { name: 'Node', command: process.execPath, args: [], missing: '' },
  { name: 'Deno', command: deno(), args: ['run', '--no-prompt'], missing: 'the package deno has no binary here' },
  { name: 'Bun', command: bun(), args: [], missing: 'there is no bun on PATH, and no BUN_PATH' },
] as const;

for (const { name, command, args, missing } of runtimes) {
  if (command === undefined) {
    describeMissing(`platforms@${name.toLowerCase()}`, missing);
    continue;
  }
  describe(`in ${name}`, () => {
    it.each(rowsOf(name))('with $needs', async (row) => {
      const permissions = codeIn(row.needs);
      const all = [...args, ...(permissions === undefined ? [] : [permissions]), 'in-runtime.js'];
      expectAsInRow(await inRuntime(command, all, bundled.folder), row, name);
    });
  });
}

const places: Readonly<Record<string, Place>> = {
  page: 'page',
  'page, isolated': 'page',
  'worker, isolated': 'worker',
  'service worker': 'service worker',
};

const chromium = chromiumPath();
if (chromium === undefined && !isRequired('js@chromium')) describeMissing('platforms@chromium', chromiumMissing);
else {
  describe('in Chromium', () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await launchChromium(chromium!);
    });
    afterAll(() => browser.close());

    it.each(rowsOf(...Object.keys(places)))('in a $where with $needs', async (row) => {
      const policy = codeIn(row.needs);
      const headers = {
        ...(row.where.includes('isolated') && isolationHeaders),
        ...(policy !== undefined && { 'Content-Security-Policy': policy }),
      };
      const place = places[row.where]!;
      const findings = await inChromium(browser, bundled.folder, place, headers);
      expectAsInRow(findings, row, `Chromium ${place}`);
      const { reasons } = findings;
      if (row.cells.wasm === 'no') expect(reasons.wasm).toContain("script-src 'wasm-unsafe-eval'");
      else if (row.cells['its threads'] === 'no' && policy?.startsWith('script-src')) {
        expect(reasons['its threads']).toContain('worker-src blob:');
      }
    });
  });
}

it('every row of the table is run', () => {
  const known = [...runtimes.map(({ name }) => name), ...Object.keys(places)];
  expect(rows.length).toBeGreaterThan(10);
  for (const { where, cells } of rows) {
    expect(known).toContain(where);
    for (const cell of Object.values(cells)) expect(cell).toMatch(/^(yes|no|\[\d\])$/);
  }
});
