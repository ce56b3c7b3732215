// The fixtures of real frameworks.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

export async function fixture(name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(fixturePath(name)));
}

/** A tensor in a fixture of JSON. */
export interface JsonTensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export async function jsonFixture<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(fixturePath(name), 'utf8')) as T;
}
