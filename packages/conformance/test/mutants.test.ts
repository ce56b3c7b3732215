// The kit is as good as what it catches: the plain backend passes, and every mutant of it fails, at a check that it names.
import { readFile } from 'node:fs/promises';
import * as core from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { dtypes, runCase } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
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

/** Quick cases first: most mutants do not live to see the others. */
const order = ['exact', 'kernels', 'programs', 'behaviour', 'golden', 'adversarial'];
const isLarge = ({ cell }: ConformanceCase) => cell !== undefined && cell.size !== 'small';
const cases = suite
  .toSorted((a, b) => order.indexOf(a.group) - order.indexOf(b.group))
  .toSorted((a, b) => Number(isLarge(a)) - Number(isLarge(b)));

/** The first case that fails, and its first failed check. */
async function caughtBy(create: () => core.Backend): Promise<string | undefined> {
  const backend = create();
  for (const one of cases) {
    for (const dtype of dtypes) {
      const { status, source, name, messages } = await runCase(one, { backend, dtype, create });
      if (status === 'failed') return `${dtype} ${source}, ${name}: ${messages[0]}`;
    }
  }
  return undefined;
}

it('the plain backend conforms', async () => {
  expect(await caughtBy(() => createPlainBackend(core))).toBeUndefined();
});

describe('mutant', () => {
  it('there are at least 25', () => expect(mutants.length).toBeGreaterThanOrEqual(25));

  it.each(mutants)('$name is caught', async ({ from, to }) => {
    const check = await caughtBy(mutate(from, to));
    expect(check).toBeDefined();
    annotate(check!);
  });
});

/** Which check it was, for whoever reads the log. */
function annotate(check: string): void {
  console.info(`${expect.getState().currentTestName}: ${check}`);
}
