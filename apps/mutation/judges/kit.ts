// The conformance kit as a judge of mutants.
import { type ConformanceCase, type Group, runsOf, suite } from '@batchnorm/conformance';
import type { Backend } from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { runCase } from '../../../packages/conformance/src/conformance.js';

/**
 * Quick ones first: most mutants do not live to see the others. Large activations and garbage collection take minutes,
 * and are left out.
 */
const order: readonly Group[] = ['exact', 'kernels', 'behaviour', 'programs', 'golden', 'adversarial', 'float16'];
const takesMinutes = ({ cell }: ConformanceCase) =>
  cell !== undefined && (['elements', 'rows or channels'].includes(cell.size) || cell.rule.endsWith('nothing behind'));
const cases = suite
  .filter((one) => !takesMinutes(one))
  .toSorted((a, b) => order.indexOf(a.group) - order.indexOf(b.group));

/**
 * One test for each case and dtype. Each makes a backend of its own, because Stryker notes by test what code it
 * reached, and tries a mutant on those tests alone: what a constructor does must count for all.
 */
export function kitOn(create: () => Backend): void {
  for (const { one, dtype } of runsOf(cases)) {
    it(`${dtype} ${one.source}, ${one.name}`, async () => {
      const backend = create();
      const { status, messages } = await runCase(one, { backend, dtype, create });
      await backend.dispose();
      expect(status === 'failed' ? messages : []).toEqual([]);
    });
  }
}
