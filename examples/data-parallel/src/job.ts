// Starts a program as an MPI job, on this host or on two.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TwoHosts } from './two-hosts.js';

const run = promisify(execFile);
const agent = fileURLToPath(new URL('../scripts/on-other-host.sh', import.meta.url));

/** As root, with more ranks than cores, none of which is bound to one or spins while it waits. */
const environment = {
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
  OMPI_MCA_rmaps_base_oversubscribe: '1',
  OMPI_MCA_hwloc_base_binding_policy: 'none',
  OMPI_MCA_mpi_yield_when_idle: '1',
};

/** A job that takes longer, in milliseconds, hangs: it is ended, and that is an error. */
const limit = 300_000;

export interface Place {
  readonly ranks: number;
  /** Half of the ranks on each. Default: all on this host. */
  readonly hosts?: TwoHosts | undefined;
}

/**
 * What rank 0 of `program`, a built file, has written as JSON into the file that is its first argument. Errors:
 * an `Error` with what was printed, where the job fails.
 */
export async function runJob<T>(program: string, { ranks, hosts }: Place, ...args: readonly string[]): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'data-parallel-'));
  const file = join(folder, 'result.json');
  const path = fileURLToPath(new URL(`../dist/${program}`, import.meta.url));
  // What Open MPI leaves behind when it is cut off.
  const files = { OMPI_MCA_orte_tmpdir_base: folder };
  const launch = hosts ? onBoth(hosts, ranks) : ['mpirun', '-np', `${ranks}`];
  const [command, ...rest] = [...launch, process.execPath, path, file, ...args];
  try {
    const other = hosts && { OTHER_HOST: `${hosts.pids[1]}` };
    await run(command!, rest, { env: { ...process.env, ...environment, ...files, ...other }, timeout: limit });
    return JSON.parse(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function onBoth({ pids, addresses, network }: TwoHosts, ranks: number): string[] {
  const settings = {
    plm_rsh_agent: `sh ${agent}`,
    btl: 'tcp,self',
    btl_tcp_if_include: network,
    oob_tcp_if_include: network,
    // Seconds after which mpirun and its daemon there notice that the cable is out; by default minutes.
    oob_tcp_keepalive_time: '2',
    oob_tcp_keepalive_intvl: '1',
    oob_tcp_keepalive_probes: '3',
  };
  return [
    ...['nsenter', '--target', `${pids[0]}`, '--net', '--uts', 'mpirun', '-np', `${ranks}`],
    ...['--host', addresses.map((address) => `${address}:${ranks / 2}`).join(',')],
    ...Object.entries(settings).flatMap(([name, value]) => ['--mca', name, value]),
  ];
}
