// Backends that are right but for something, written by somebody who had not read the kit: it catches each, and says at which
// check.
import type { Backend } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { dtypes, runCase } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
import { wrongBackends } from './wrong-backends/index.js';
import { createRightBackend, type RightBackend } from './wrong-backends/right-backend.js';

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

describe('the kit catches it', () => {
  const named = wrongBackends.map((one) => [one.name, one] as const);

  it.each(named)('%s', async (_, { right = createRightBackend, spoil }) => {
    const check = await caughtBy(() => spoil(right()));
    expect(check).toBeDefined();
    annotate(check!);
  });
});

/** What it was, for whoever reads the log. */
function annotate(found: string): void {
  console.info(`${expect.getState().currentTestName}: ${found}`);
}
