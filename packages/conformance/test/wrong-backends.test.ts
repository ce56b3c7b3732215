// Backends that are right but for something, written by somebody who had not read the kit: it catches each, and says at which
// check.
import type { Backend } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { dtypes, runCase } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
import { kinds, wrongBackends } from './wrong-backends/index.js';
import { createRightBackend } from './wrong-backends/right-backend.js';

/** Quick cases first: most wrong backends do not live to see the others. */
const order = ['kernels', 'programs', 'exact', 'behaviour', 'golden', 'adversarial'];
const sizes = ['small', 'blocks', 'elements', 'rows or channels'];
const isAboutMemory = ({ cell }: ConformanceCase) => cell !== undefined && / nothing behind$/.test(cell.rule);
const isAboutSizes = ({ cell }: ConformanceCase) =>
  cell?.rule === 'results are within their bounds' && cell.size !== 'small';
const rank = (one: ConformanceCase) =>
  (one.cell ? 10 * sizes.indexOf(one.cell.size) : 0) + (isAboutMemory(one) ? 9 : order.indexOf(one.group));

/** All cases, those first in which such a mistake shows soonest. */
function casesFor(kind: string): ConformanceCase[] {
  const isLikely = { memory: isAboutMemory, sizes: isAboutSizes }[kind] ?? (() => false);
  return suite.toSorted((a, b) => rank(a) - rank(b)).toSorted((a, b) => Number(isLikely(b)) - Number(isLikely(a)));
}

/** The first case that fails, and its first failed check. */
async function caughtBy(create: () => Backend, cases: readonly ConformanceCase[]): Promise<string | undefined> {
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

it('the right backend conforms', async () => {
  expect(await caughtBy(createRightBackend, suite)).toBeUndefined();
}, 900_000);

it('there are at least 70, each by another name', () => {
  expect(new Set(wrongBackends.map(({ name }) => name)).size).toBe(wrongBackends.length);
  expect(wrongBackends.length).toBeGreaterThanOrEqual(70);
});

for (const [kind, wrong] of Object.entries(kinds)) {
  const cases = casesFor(kind);

  describe(`the kit catches what is wrong about ${kind}`, () => {
    const asked = wrong.filter(({ beyond }) => beyond === undefined);
    it.each(asked.map((one) => [one.name, one] as const))(
      '%s',
      async (_, { right = createRightBackend, spoil }) => {
        const check = await caughtBy(() => spoil(right()), cases);
        expect(check).toBeDefined();
        annotate(check!);
      },
      600_000,
    );

    // What the kit does not ask, and why: visible skips.
    for (const { name, beyond } of wrong.filter((one) => one.beyond !== undefined)) {
      it(name, ({ skip }) => skip(beyond));
    }
  });
}

/** What it was, for whoever reads the log. */
function annotate(found: string): void {
  console.info(`${expect.getState().currentTestName}: ${found}`);
}
