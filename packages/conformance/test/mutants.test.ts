// The kit is as good as what it catches: the plain backend passes, and every mutant of it fails, at a check that it
// names.
import { readFile } from 'node:fs/promises';
import * as core from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { annotate, caughtBy } from './caught-by.js';
import { mutants } from './mutants.js';
import { createPlainBackend } from './plain-backend.js';

const text = await readFile(new URL('./plain-backend.js', import.meta.url), 'utf8');

/** The mutant's text as a factory; one line of it is not the plain backend's. */
function mutate(from: string, to: string): () => core.Backend {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`${JSON.stringify(from)} is there ${parts.length - 1} times`);
  const body = parts.join(to).replace('export function', 'return function');
  const create = new Function(body)() as (own: object) => core.Backend;
  return () => create({ ...core });
}

it('the plain backend conforms', async () => {
  expect(await caughtBy(() => createPlainBackend(core))).toBeUndefined();
  // The whole kit, which three minutes do not suffice for where other packages' tests run at the same time.
}, 900_000);

describe('mutant', () => {
  it('there are at least 25', () => expect(mutants.length).toBeGreaterThanOrEqual(25));

  it.each(mutants)('$name is caught', async ({ from, to }) => {
    const check = await caughtBy(mutate(from, to));
    expect(check).toBeDefined();
    annotate(check!);
  });
});
