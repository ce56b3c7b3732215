// Tables of backends in the docs have the registry's backends and no others. A failure shows the rows as they must be.
import { readFileSync } from 'node:fs';
import { candidates } from 'batchnorm';
import { expect, it } from 'vitest';
import { backends, backendsOn, type Family, type Platform } from '../src/backends.js';
import { families } from '../src/registry.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** The cells below the header `columns` of a Markdown table. */
function tableOf(text: string, ...columns: string[]): string[][] {
  const rows = text.split('\n').map((line) => (line.startsWith('|') ? cellsOf(line) : undefined));
  const header = rows.findIndex((cells) => columns.every((column, index) => cells?.[index] === column));
  expect(header, `a table ${columns.join(' | ')}`).toBeGreaterThanOrEqual(0);
  const end = rows.indexOf(undefined, header);
  return rows.slice(header + 2, end) as string[][];
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

it('CONTRIBUTING.md: what REQUIRE_BACKENDS can name, and what it needs', () => {
  const rows = Object.entries(backends).map(([name, { platforms, needs }]) => {
    const code = (platform: Platform, text: string) => (platforms.includes(platform) ? `\`${text}\`` : '');
    return [code('node', name), code('chromium', `${name}@chromium`), needs.join(', ')];
  });
  expect(tableOf(read('CONTRIBUTING.md'), 'Node', 'Chromium', 'needs')).toEqual(rows);
});

it('README.md: a row for each family', () => {
  const rows = tableOf(read('README.md'), 'backend', 'where it runs');
  expect(rows.map(([backend]) => backend)).toEqual(Object.keys(candidates).map((name) => `\`${name}\``));
  const modesOn = (platform: Platform) => backendsOn(platform).filter((name) => name.startsWith('gpujs-')).length;
  const gpujs = rows.find(([backend]) => backend === '`gpujs`')!;
  expect(gpujs[1]).toContain(`${modesOn('node')} modes in Node, ${modesOn('chromium')} in Chromium`);
});

it('packages/batchnorm/README.md: what createBatchNorm chooses from', () => {
  const { dependencies } = JSON.parse(read('packages/batchnorm/package.json'));
  const rows = (Object.keys(candidates) as Family[]).map((name) => {
    const module = `@batchnorm/${families[name].folder}`;
    const installed = module in dependencies ? 'with `batchnorm`' : `on request: \`npm install ${module}\``;
    return [`\`${name}\``, `\`${module}\``, installed];
  });
  expect(tableOf(read('packages/batchnorm/README.md'), 'name', 'package', 'installed')).toEqual(rows);
});
