// The kit as tests of a test runner: vitest, node:test, Jest, or one like them.
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { type CaseResult, type ConformanceOptions, type Run, runCase, runsOf } from './conformance.js';
import { countsLine, explanations, reasonOf } from './counts.js';
import { suite } from './suite.js';

/**
 * A test runner: `import * as vitest from 'vitest'`, `* as test from 'node:test'` or `* as jest from '@jest/globals'`;
 * or its functions.
 */
export interface TestApi {
  /** Groups tests. */
  describe(name: string, body: () => void): unknown;
  /** Declares a test. */
  it(name: string, body: (...context: unknown[]) => Promise<void>): unknown;
  /** Runs a hook after the tests of a `describe`, in vitest and Jest; a runner needs this or `after`. */
  afterAll?: (hook: () => Promise<void>) => unknown;
  /** The same in node:test and Mocha. */
  after?: (hook: () => Promise<void>) => unknown;
  /** Where a runner has `expect`, failures are shown as its diff. */
  expect?: (value: unknown) => {
    /** Throws where the two differ. */
    toEqual(expected: unknown): unknown;
  };
}

/** What runners hand to a test, as its argument or as `this`, to skip itself. */
interface TestContext {
  skip?(reason: string): void;
}

/**
 * Describes one test for each case and dtype; call it at the top of a test file. `factory` makes one backend for all of
 * them, when the first of them needs it; a hook after the last disposes it and prints how many passed, failed, were
 * refused and skipped. For cases that dispose theirs it makes another.
 *
 * A refused case is a passing test. A skipped one is skipped with its reason, where the runner lets a running test do
 * so. A factory that fails is asked once, and every test fails for its reason. Errors: `TypeError` for a runner without
 * hooks.
 */
export function describeConformance(
  name: string,
  factory: () => MaybePromise<Backend>,
  api: TestApi,
  options: Pick<ConformanceOptions, 'quick'> = {},
): void {
  const { describe, it } = api;
  const after = api.afterAll ?? api.after;
  if (!after) {
    throw new TypeError('describeConformance: received a test runner without hooks, expected its afterAll or after');
  }
  const runs = runsOf(suite);
  const results = new Map<Run, CaseResult>();
  let shared: Promise<Backend> | undefined;
  let skipsAreShown = true;

  const test = (run: Run) =>
    // Rest parameters, because runners give a function with a declared parameter a callback.
    async function (this: unknown, ...[context = this]: unknown[]) {
      shared ??= (async () => factory())();
      const result = await runCase(run.one, { backend: await shared, dtype: run.dtype, create: factory }, options);
      results.set(run, result);
      if (result.status === 'failed') fail(result.messages, api);
      if (result.status !== 'skipped') return;
      const { skip } = Object(context) as TestContext;
      if (skip) skip.call(context, reasonOf(result));
      else skipsAreShown = false;
    };

  describe(`${name} conforms`, () => {
    after(async () => {
      if (!shared) return;
      if (results.size > 0) console.info(summary(name, [...results.values()], runs.length, skipsAreShown));
      // If the factory failed, there is nothing to dispose.
      const backend = await shared.catch(() => undefined);
      await backend?.dispose();
    });
    const placeOf = ({ one, dtype }: Run) => `${dtype} ${one.source}`;
    for (const place of new Set(runs.map(placeOf))) {
      describe(place, () => {
        for (const run of runs.filter((other) => placeOf(other) === place)) {
          it(`${run.one.name}: ${run.one.why}`, test(run));
        }
      });
    }
  });
}

function fail(messages: readonly string[], { expect }: TestApi): void {
  expect?.(messages).toEqual([]);
  throw new Error(messages.join('\n'));
}

/**
 * Such as 'mine: 612 passed, 0 failed, 4 refused (DTYPE_MISMATCH), 1 skipped', and why those of the last two were so.
 */
function summary(name: string, results: readonly CaseResult[], cases: number, skipsAreShown: boolean): string {
  const part = results.length < cases ? `, ${results.length} of ${cases} cases` : '';
  const note = skipsAreShown ? [] : ['skipped cases show as passed: this runner has no skip for a test that runs'];
  return [`${name}${part}: ${countsLine(results)}`, ...explanations(results), ...note].join('\n  ');
}
