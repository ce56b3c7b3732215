// The golden files that come with this package, in Node and in a page.
import type { FixtureFile } from './fixtures/fixture-case.js';
import { parseFixtureFile } from './fixtures/parse-fixture-file.js';

let files: Promise<readonly FixtureFile[]> | undefined;

/** Reads the golden files, once: when somebody first asks for them. Errors: those of reading. */
export function builtInFixtures(): Promise<readonly FixtureFile[]> {
  // Bundlers find the files by these literal URLs.
  files ??= Promise.all([
    load('seed-numpy.json', new URL('../fixtures/seed-numpy.json', import.meta.url)),
    load('pytorch.json', new URL('../fixtures/pytorch.json', import.meta.url)),
    load('keras.json', new URL('../fixtures/keras.json', import.meta.url)),
    load('extras-pytorch.json', new URL('../fixtures/extras-pytorch.json', import.meta.url)),
  ]);
  return files;
}

async function load(name: string, url: URL): Promise<FixtureFile> {
  return parseFixtureFile(name, JSON.parse(await readText(url)));
}

async function readText(url: URL): Promise<string> {
  if (url.protocol !== 'file:') return (await fetch(url)).text();
  // Not an import, so that bundlers of pages do not look for it.
  return process.getBuiltinModule('node:fs/promises').readFile(url, 'utf8');
}
