// Golden files as cases: what NumPy and PyTorch computed.
import type { ConformanceCase } from './conformance-case.js';
import type { FixtureFile } from './fixtures/fixture-case.js';
import { inapplicable, replay } from './replay.js';

export function goldenCases(files: readonly FixtureFile[]): ConformanceCase[] {
  return files.flatMap(({ name: source, cases }) =>
    cases.map((fixture) => ({
      group: 'golden' as const,
      source,
      name: fixture.name,
      why: fixture.why,
      inapplicable: ({ dtype }) => inapplicable(fixture, dtype),
      run: ({ backend, dtype }) => replay(fixture, backend, dtype),
    })),
  );
}
