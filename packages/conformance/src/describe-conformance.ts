// The suite for a test runner: vitest, node:test and Jest-like ones, with ES modules.
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { builtInFixtures } from './built-in-fixtures.js';
import { dtypes, runCase } from './conformance.js';

/** What the suite needs of a test runner. */
export interface TestApi {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
  /** Where the runner has one, failures are shown as a diff of its own. */
  expect?: (value: unknown) => { toEqual(expected: unknown): unknown };
}

/**
 * Describes one test for each golden case and dtype; call it at the top of a test file. `factory` makes the backend, anew
 * for each test.
 */
export function describeConformance(name: string, factory: () => MaybePromise<Backend>, api: TestApi): void {
  const { describe, it } = api;
  describe(`${name} conforms`, () => {
    for (const dtype of dtypes) {
      describe(dtype, () => {
        for (const { name: file, cases } of builtInFixtures) {
          for (const fixture of cases) {
            it(`${file} ${fixture.name}: ${fixture.why}`, async () => {
              const backend = await factory();
              try {
                const { status, messages } = await runCase(fixture, backend, dtype);
                expectNone(status === 'passed' ? [] : messages, api);
              } finally {
                await backend.dispose();
              }
            });
          }
        }
      });
    }
  });
}

function expectNone(failures: readonly string[], { expect }: TestApi): void {
  if (expect) expect(failures).toEqual([]);
  else if (failures.length > 0) throw new Error(failures.join('\n'));
}
