// Golden files from a folder of the user's.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FixtureFile } from '../fixtures/fixture-case.js';
import { FixtureFormatError } from '../fixtures/format-error.js';
import { parseFixtureFile } from '../fixtures/parse-fixture-file.js';
import { repeatedKeys } from './repeated-keys.js';

/**
 * Reads every `*.json` of `folder`, in name order. Errors: `FixtureFormatError`, with the problems of the folder or of
 * all files that have any.
 */
export async function readFixtureFolder(folder: string): Promise<FixtureFile[]> {
  const entries = await readdir(folder).catch((error: Error) => malformed(folder, error.message, 'a folder of *.json'));
  const names = entries.filter((name) => /\.json$/i.test(name)).sort();
  if (names.length === 0) malformed(folder, 'no *.json', 'at least one');
  const problems: string[] = [];
  const files: FixtureFile[] = [];
  for (const name of names) {
    try {
      files.push(await readFixtureFile(folder, name));
    } catch (error) {
      if (!(error instanceof FixtureFormatError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new FixtureFormatError(problems);
  return files;
}

async function readFixtureFile(folder: string, name: string): Promise<FixtureFile> {
  const bytes = await readFile(join(folder, name)).catch((error: Error) =>
    malformed(name, error.message, 'a file that can be read'),
  );
  return parseFixtureFile(name, parseJson(name, textOf(name, bytes)));
}

/** Without the mark that some editors begin a file with. */
function textOf(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return malformed(name, 'bytes that are no UTF-8', 'JSON');
  }
}

function parseJson(name: string, text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    malformed(name, (error as Error).message, 'JSON');
  }
  const repeated = repeatedKeysOf(name, text);
  if (repeated.length === 0) return json;
  throw new FixtureFormatError(repeated.map((path) => `${name}: ${path}: received a key again, expected it once`));
}

function repeatedKeysOf(name: string, text: string): string[] {
  try {
    return repeatedKeys(text);
  } catch (error) {
    // It calls itself for each level.
    if (error instanceof RangeError) malformed(name, 'values within values, too many', 'cases, steps and arrays');
    throw error;
  }
}

function malformed(place: string, received: string, expected: string): never {
  throw new FixtureFormatError([`${place}: received ${received}, expected ${expected}`]);
}
