// Right backends that do unusual things: the kit fails none of them.
import type { Dtype } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { runCase, runsOf } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';
import { type UnusualBackend, unusualBackends } from './wrong-backends/unusual-backends.js';

/**
 * Whether a case could tell this backend from the others: what is about values, or sizes, is told of the right backend
 * once.
 */
function concerns({ inValues = false, atAnySize = false }: UnusualBackend, one: ConformanceCase): boolean {
  const { group, cell, slow = false } = one;
  if (group === 'golden' || group === 'adversarial') return inValues;
  return atAnySize || !slow || (cell?.size === 'small' && cell.layout === 'rows');
}

/** One line for each case that fails, in one dtype that it has and in those that it lacks. */
async function failuresOf(unusual: UnusualBackend): Promise<string[]> {
  const { create } = unusual;
  const backend = create();
  const [has] = backend.capabilities.dtypes;
  const isAsked = (dtype: Dtype) => dtype === has || !backend.capabilities.dtypes.includes(dtype);
  const failures: string[] = [];
  const cases = suite.filter((one) => concerns(unusual, one));
  for (const { one, dtype } of runsOf(cases).filter(({ dtype }) => isAsked(dtype))) {
    const { status, source, name, messages } = await runCase(one, { backend, dtype, create });
    if (status === 'failed') failures.push(`${dtype} ${source}, ${name}: ${messages[0]}`);
  }
  await backend.dispose();
  return failures;
}

describe('the kit has nothing against a backend', () => {
  it.each(unusualBackends.map((one) => [one.name, one] as const))(
    '%s',
    async (_, backend) => {
      expect(await failuresOf(backend)).toEqual([]);
    },
    600_000,
  );
});
