// Tests that need MPI: a visible skip with the reason where it is not here, or a failure where it is required.
import { missingMpi, skipWithoutMpi } from '@batchnorm/testing/mpi';
import { describe, it } from 'vitest';
import { loadMpi } from '../src/mpi-library.js';

const missing = await whatIsMissing();

/** Describes tests that start MPI jobs, where that is possible. */
export function describeMpi(name: string, body: () => void): void {
  if (missing === undefined) describe(name, body);
  else {
    it(`${name} runs here`, ({ skip }) => skipWithoutMpi(name, skip, missing));
  }
}

async function whatIsMissing(): Promise<string | undefined> {
  if (missingMpi !== undefined) return missingMpi;
  if (process.platform !== 'linux') return `processes are looked for in /proc, which ${process.platform} lacks`;
  return loadMpi(undefined).then(
    () => undefined,
    (error: Error) => error.message,
  );
}
