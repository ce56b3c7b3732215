// Golden files from a folder of the user's.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FixtureFile, FixtureFormatError, parseFixtureFile } from '@batchnorm/conformance';

/** Reads every `*.json` of `folder`, in name order. Errors: `FixtureFormatError` naming the file or folder and the reason. */
export async function readFixtureFolder(folder: string): Promise<FixtureFile[]> {
  const entries = await readdir(folder).catch((error: Error) => {
    throw new FixtureFormatError(`${folder}: ${error.message}`);
  });
  const names = entries.filter((name) => name.endsWith('.json')).sort();
  if (names.length === 0) throw new FixtureFormatError(`${folder}: no *.json in this folder`);
  return Promise.all(names.map((name) => readFixtureFile(folder, name)));
}

async function readFixtureFile(folder: string, name: string): Promise<FixtureFile> {
  const text = await readFile(join(folder, name), 'utf8').catch((error: Error) => {
    throw new FixtureFormatError(`${name}: ${error.message}`);
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FixtureFormatError(`${name}: ${(error as Error).message}`);
  }
  return parseFixtureFile(name, json);
}
