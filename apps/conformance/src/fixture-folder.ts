// Golden files from a folder of the user's.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FixtureFile, FixtureFormatError, parseFixtureFile } from '@batchnorm/conformance';
import { repeatedKeys } from './repeated-keys.js';

/**
 * Reads every `*.json` of `folder`, in name order. Errors: `FixtureFormatError`, with the problems of the folder or of all files that
 * have any.
 */
export async function readFixtureFolder(folder: string): Promise<FixtureFile[]> {
  const entries = await readdir(folder).catch((error: Error) => malformed(folder, error.message, 'a folder of *.json'));
  const names = entries.filter((name) => name.endsWith('.json')).sort();
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
  const text = await readFile(join(folder, name), 'utf8').catch((error: Error) =>
    malformed(name, error.message, 'a file that can be read'),
  );
  return parseFixtureFile(name, parseJson(name, text));
}

function parseJson(name: string, text: string): unknown {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    malformed(name, (error as Error).message, 'JSON');
  }
  const repeated = repeatedKeys(text);
  if (repeated.length === 0) return json;
  throw new FixtureFormatError(repeated.map((path) => `${name}: ${path}: received a key again, expected it once`));
}

function malformed(place: string, received: string, expected: string): never {
  throw new FixtureFormatError([`${place}: received ${received}, expected ${expected}`]);
}
