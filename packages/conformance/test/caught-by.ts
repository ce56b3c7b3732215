// Who catches a wrong backend: the first case of the kit that fails.
import type { Backend } from '@batchnorm/core-api';
import { expect } from 'vitest';
import { runCase, runsOf } from '../src/conformance.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { suite } from '../src/suite.js';

/** Quick cases first: most wrong backends do not live to see the others. */
const order = ['exact', 'kernels', 'behaviour', 'programs', 'adversarial', 'golden', 'float16'];
export const quickFirst: readonly ConformanceCase[] = suite
  .toSorted((a, b) => order.indexOf(a.group) - order.indexOf(b.group))
  .toSorted((a, b) => Number(a.slow ?? false) - Number(b.slow ?? false));

/** The first case that fails, and its first failed check; undefined if all of them pass. */
export async function caughtBy(
  create: () => Backend,
  cases: readonly ConformanceCase[] = quickFirst,
): Promise<string | undefined> {
  const backend = create();
  for (const one of cases) {
    for (const { dtype } of runsOf([one])) {
      const { status, source, name, messages } = await runCase(one, { backend, dtype, create });
      if (status === 'failed') return `${dtype} ${source}, ${name}: ${messages[0]}`;
    }
  }
  await backend.dispose();
  return undefined;
}

/** Which check it was, for whoever reads the log. */
export function annotate(check: string): void {
  console.info(`${expect.getState().currentTestName}: ${check}`);
}
