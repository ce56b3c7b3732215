// The suite for a test runner: vitest, node:test and Jest-like ones, with ES modules.
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { dtypes, runCase } from './conformance.js';
import { suite } from './suite.js';

/** What the suite needs of a test runner. */
export interface TestApi {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
  /** Where the runner has one, failures are shown as a diff of its own. */
  expect?: (value: unknown) => { toEqual(expected: unknown): unknown };
}

/**
 * Describes one test for each case and dtype; call it at the top of a test file. `factory` makes one backend for all of
 * them, which the last one disposes, and another for cases that dispose theirs.
 */
export function describeConformance(name: string, factory: () => MaybePromise<Backend>, api: TestApi): void {
  const { describe, it } = api;
  let shared: Promise<Backend> | undefined;
  let left = dtypes.length * suite.length;
  describe(`${name} conforms`, () => {
    for (const dtype of dtypes) {
      for (const source of new Set(suite.map((one) => one.source))) {
        describe(`${dtype} ${source}`, () => {
          for (const one of suite.filter((other) => other.source === source)) {
            it(`${one.name}: ${one.why}`, async () => {
              shared ??= Promise.resolve(factory());
              const backend = await shared;
              try {
                const { status, messages } = await runCase(one, { backend, dtype, create: factory });
                expectNone(status === 'passed' ? [] : messages, api);
              } finally {
                left--;
                if (left === 0) await backend.dispose();
              }
            });
          }
        });
      }
    }
  });
}

function expectNone(failures: readonly string[], { expect }: TestApi): void {
  if (expect) expect(failures).toEqual([]);
  else if (failures.length > 0) throw new Error(failures.join('\n'));
}
