// A visible skip where there is no MPI, or a failure where REQUIRE_COLLECTIVES has it.
import { spawnSync } from 'node:child_process';

const missing = spawnSync('mpirun', ['--version']).error && 'PATH has no mpirun';
const isRequired = (process.env.REQUIRE_COLLECTIVES ?? '').split(',').includes('mpi');

export function skipWithoutMpi(skip: (reason: string) => never): void {
  if (missing === undefined) return;
  if (isRequired) throw new Error(`REQUIRE_COLLECTIVES has mpi, but ${missing}`);
  console.warn(`data-parallel skipped: ${missing}`);
  skip(missing);
}
