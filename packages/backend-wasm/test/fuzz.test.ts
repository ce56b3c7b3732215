// A short run of `pnpm fuzz`.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { cases, mismatches } from './fuzz/fuzz.js';

it('300 random extents, alignments and values are as the oracle says, and no guard zone is touched', async () => {
  const backend = await createWasmBackend({ threads: 2 });
  const property = fc.asyncProperty(cases, async (one) => {
    expect(await mismatches(backend, one)).toEqual([]);
  });
  await fc.assert(property, { numRuns: 300, seed: 7 });
  await backend.dispose();
});
