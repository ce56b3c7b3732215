// Right backends that do unusual things: the kit fails none of them.
import { describe, expect, it } from 'vitest';
import { dtypes, runCase } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
import { type UnusualBackend, unusualBackends } from './wrong-backends/unusual-backends.js';

/** What is about values alone can be told of the right backend once, and need not be of each of these. */
const isAboutValues = ({ group, cell }: ConformanceCase): boolean =>
  group === 'golden' || group === 'adversarial' || cell?.size === 'elements' || cell?.size === 'rows or channels';

/** One line for each case that fails. */
async function failuresOf({ create, inValues = false }: UnusualBackend): Promise<string[]> {
  const backend = create();
  const failures: string[] = [];
  for (const dtype of dtypes) {
    for (const one of suite.filter((one) => inValues || !isAboutValues(one))) {
      const { status, source, name, messages } = await runCase(one, { backend, dtype, create });
      if (status === 'failed') failures.push(`${dtype} ${source}, ${name}: ${messages[0]}`);
    }
  }
  await backend.dispose();
  return failures;
}

describe('the kit has nothing against a backend', () => {
  it.each(unusualBackends.map((one) => [one.name, one] as const))('%s', async (_, backend) => {
    expect(await failuresOf(backend)).toEqual([]);
  });
});
