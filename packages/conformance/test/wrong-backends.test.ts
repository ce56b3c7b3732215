// Backends that are right but for something, written by somebody who had not read the kit: each is shown wrong by a program
// that a user could write, and caught by the kit, which says at which check.
import type { Backend } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { dtypes, runCase } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
import { wrongBackends } from './wrong-backends/index.js';
import { difference } from './wrong-backends/programs.js';
import { createRightBackend, type RightBackend } from './wrong-backends/right-backend.js';
import type { WrongBackend } from './wrong-backends/wrong-backend.js';

/** Where failures come soonest, first; large activations last. */
const order = ['behaviour', 'kernels', 'exact', 'programs', 'golden', 'adversarial'];
const sizes = ['small', 'blocks', 'elements', 'rows or channels'];
const rank = ({ group, cell }: ConformanceCase) =>
  order.indexOf(group) + order.length * (cell ? sizes.indexOf(cell.size) : 0);
const cases = suite.toSorted((a, b) => rank(a) - rank(b));

/** The first case that fails, and its first failed check. */
async function caughtBy(create: () => Backend): Promise<string | undefined> {
  const backend = create();
  for (const one of cases) {
    for (const dtype of dtypes) {
      const { status, source, name, messages } = await runCase(one, { backend, dtype, create });
      if (status === 'failed') return `${dtype} ${source}, ${name}: ${messages[0]}`;
    }
  }
  await backend.dispose();
  return undefined;
}

/** What a user sees who runs the program; what it fails with, if it does. */
async function seenBy(backend: Backend, program: WrongBackend['program']): Promise<unknown> {
  try {
    return await program(backend);
  } catch (error) {
    return `failed: ${error}`;
  }
}

it('the right backend conforms, and has nothing left on its device', async () => {
  const made: RightBackend[] = [];
  const create = () => {
    const backend = createRightBackend();
    made.push(backend);
    return backend;
  };
  expect(await caughtBy(create)).toBeUndefined();
  expect(made[0]!.alive()).toBe(0);
});

it('there are at least 70, each by another name', () => {
  expect(new Set(wrongBackends.map(({ name }) => name)).size).toBe(wrongBackends.length);
  expect(wrongBackends.length).toBeGreaterThanOrEqual(70);
});

describe('a user sees it', () => {
  it.each(wrongBackends)('$name', async ({ right = createRightBackend, spoil, program, tolerance = 1e-4 }) => {
    const expected = await program(right());
    expect(difference(await program(right()), expected, tolerance)).toBeUndefined();
    const found = difference(await seenBy(spoil(right()), program), expected, tolerance);
    expect(found).toBeDefined();
    annotate(found!);
  });
});

describe('the kit catches it', () => {
  it.each(wrongBackends)('$name', async ({ right = createRightBackend, spoil }) => {
    const check = await caughtBy(() => spoil(right()));
    expect(check).toBeDefined();
    annotate(check!);
  });
});

/** What it was, for whoever reads the log. */
function annotate(found: string): void {
  console.info(`${expect.getState().currentTestName}: ${found}`);
}
