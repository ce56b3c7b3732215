// Backends that are right but for something, nearly all written by somebody who had not read the kit: it catches each,
// by the case that is named beside it.
import { describe, expect, it } from 'vitest';
import { suite } from '../src/suite.js';
import { annotate, caughtBy } from './caught-by.js';
import { kinds, wrongBackends } from './wrong-backends/index.js';
import { createRightBackend } from './wrong-backends/right-backend.js';

it('the right backend conforms', async () => {
  expect(await caughtBy(createRightBackend)).toBeUndefined();
}, 900_000);

it('there are at least 70, each by another name', () => {
  expect(new Set(wrongBackends.map(({ name }) => name)).size).toBe(wrongBackends.length);
  expect(wrongBackends.length).toBeGreaterThanOrEqual(70);
});

for (const [kind, wrong] of Object.entries(kinds)) {
  describe(`the kit catches what is wrong about ${kind}`, () => {
    for (const { name, caughtBy: named, beyond, right = createRightBackend, spoil } of wrong) {
      it(name, async ({ skip }) => {
        // What the kit does not ask, and why.
        if (beyond !== undefined) skip(beyond);
        const create = () => spoil(right());
        const check = await caughtBy(
          create,
          suite.filter((one) => one.name === named),
        );
        // Whoever wrote it, or changed the kit, is told which case it is.
        if (check === undefined) expect.fail(`not caught by ${named}, but by ${await caughtBy(create)}`);
        annotate(check);
      }, 600_000);
    }
  });
}
