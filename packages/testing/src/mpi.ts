// Tests that start MPI jobs: a visible skip with the reason where that is not possible, or a failure where it is required.
import { spawnSync } from 'node:child_process';

/** For mpirun as root, with more ranks than cores, none of which is bound to one or spins while it waits. */
export const jobEnvironment: Readonly<Record<string, string>> = {
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
  OMPI_MCA_mpi_yield_when_idle: '1',
};

/** Why no job can be started here; undefined where one can. */
export const missingMpi: string | undefined = spawnSync('mpirun', ['--version']).error && 'PATH has no mpirun';

/** Whether the environment variable REQUIRE_COLLECTIVES, a comma-separated list, has mpi. */
const isRequired = (process.env.REQUIRE_COLLECTIVES ?? '').split(',').includes('mpi');

/** Skips the test called `name`, which `missing` keeps from running, or throws where MPI is required. */
export function skipWithoutMpi(
  name: string,
  skip: (reason: string) => void,
  missing: string | undefined = missingMpi,
): void {
  if (missing === undefined) return;
  if (isRequired) throw new Error(`REQUIRE_COLLECTIVES has mpi, but ${missing}`);
  console.warn(`${name} skipped: ${missing}`); // vitest's default reporter keeps the reason to itself
  skip(missing);
}
