// Tests that need MPI: a visible skip with the reason where it is not here, or a failure where it is required.
import { spawnSync } from 'node:child_process';
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

/** What Debian calls MPICH's launcher, which may be there beside Open MPI's. */
export const mpich = 'mpirun.mpich';

/** Describes tests that start jobs of MPICH, where it is installed: a visible skip elsewhere. */
export function describeMpich(name: string, body: () => void): void {
  const reason = missing ?? (spawnSync(mpich, ['--version']).error && `PATH has no ${mpich}`);
  if (reason === undefined) describe(name, body);
  else {
    it(`${name} runs here`, ({ skip }) => {
      console.warn(`${name} skipped: ${reason}`); // vitest's default reporter keeps the reason to itself
      skip(reason);
    });
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
