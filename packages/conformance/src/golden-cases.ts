// Golden files as cases: what NumPy and PyTorch computed.
import type { MaybePromise } from '@batchnorm/core-api';
import { builtInFixtures } from './built-in-fixtures.js';
import { builtInNames } from './built-in-names.js';
import type { ConformanceCase } from './conformance-case.js';
import type { FixtureCase, FixtureFile } from './fixtures/fixture-case.js';
import { refusedByLimit } from './refused-by-limit.js';
import { inapplicable, replay, shapesOf } from './replay.js';

export function goldenCases(files: readonly FixtureFile[]): ConformanceCase[] {
  return files.flatMap(({ name: source, cases }) =>
    cases.map((fixture) => goldenCase(source, fixture.name, fixture.why, () => fixture)),
  );
}

/** Those of this package: the first that runs has their files read. */
export const builtInCases: readonly ConformanceCase[] = Object.entries(builtInNames).flatMap(([source, cases]) =>
  Object.entries(cases).map(([name, why]) => goldenCase(source, name, why, () => builtIn(source, name))),
);

async function builtIn(source: string, name: string): Promise<FixtureCase> {
  const files = await builtInFixtures();
  const fixture = files.find((file) => file.name === source)?.cases.find((one) => one.name === name);
  if (!fixture) throw new Error(`${source}: received no case ${name}, expected the one that built-in-names.ts lists`);
  return fixture;
}

function goldenCase(
  source: string,
  name: string,
  why: string,
  fixture: () => MaybePromise<FixtureCase>,
): ConformanceCase {
  return {
    group: 'golden',
    source,
    name,
    why,
    inapplicable: async ({ dtype }) => inapplicable(await fixture(), dtype),
    run: async ({ backend, dtype }) => {
      const golden = await fixture();
      const refusal = await refusedByLimit({ backend, dtype }, shapesOf(golden));
      return refusal ?? replay(golden, backend, dtype);
    },
  };
}
