// Tests that need MPI: a visible skip with the reason where it is not here, or a failure where it is required.
import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';
import { loadMpi } from '../src/mpi-library.js';

const missing = await whatIsMissing();

/** Whether the environment variable REQUIRE_COLLECTIVES, a comma-separated list, has mpi. */
const isRequired = (process.env.REQUIRE_COLLECTIVES ?? '').split(',').includes('mpi');

/** Describes tests that start MPI jobs, where that is possible. */
export function describeMpi(name: string, body: () => void): void {
  if (missing === undefined) describe(name, body);
  else {
    it(`${name} runs here`, ({ skip }) => {
      if (isRequired) throw new Error(`REQUIRE_COLLECTIVES has mpi, but ${missing}`);
      console.warn(`${name} skipped: ${missing}`); // vitest's default reporter keeps the reason to itself
      skip(missing);
    });
  }
}

async function whatIsMissing(): Promise<string | undefined> {
  if (spawnSync('mpirun', ['--version']).error) return 'PATH has no mpirun';
  if (process.platform !== 'linux') return `processes are looked for in /proc, which ${process.platform} lacks`;
  return loadMpi(undefined).then(
    () => undefined,
    (error: Error) => error.message,
  );
}
