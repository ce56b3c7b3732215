// The golden files that come with this package, in Node and in a page.
import type { FixtureFile } from './fixtures/fixture-case.js';
import { parseFixtureFile } from './fixtures/parse-fixture-file.js';

async function load(name: string, url: URL): Promise<FixtureFile> {
  return parseFixtureFile(name, JSON.parse(await readText(url)));
}

async function readText(url: URL): Promise<string> {
  if (url.protocol !== 'file:') return (await fetch(url)).text();
  // Not an import, so that bundlers of pages do not look for it.
  return process.getBuiltinModule('node:fs/promises').readFile(url, 'utf8');
}

// Bundlers find the files by these literal URLs. Awaited here, so that suites can be described synchronously.
export const builtInFixtures: readonly FixtureFile[] = await Promise.all([
  load('seed-numpy.json', new URL('../fixtures/seed-numpy.json', import.meta.url)),
  load('pytorch.json', new URL('../fixtures/pytorch.json', import.meta.url)),
]);
