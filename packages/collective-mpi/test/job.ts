// Starts MPI jobs of the programs beside it, hears what their ranks report, and leaves no process behind.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jobEnvironment } from '@batchnorm/testing/mpi';
import { onTestFinished } from 'vitest';

export interface JobOptions {
  /** 0: the program alone, without mpirun. */
  readonly ranks: number;
  readonly args?: readonly string[];
  /** The launcher, by default `mpirun`. */
  readonly mpirun?: string;
}

/** What a rank said by `report`. */
export interface Report {
  readonly rank: number;
  readonly [name: string]: unknown;
}

export interface JobResult {
  /** Of mpirun; null where a signal ended it. */
  readonly exitCode: number | null;
  /** Whether its processes had to be killed. */
  readonly hung: boolean;
  readonly reports: readonly Report[];
  /** Everything that was printed. */
  readonly output: string;
  /** When the last process had ended, of `Date.now()`. */
  readonly endedAt: number;
}

/** Where Open MPI keeps what it leaves behind when it is killed: files of shared memory, and of the job. */
const filesIn = (folder: string) => ({
  OMPI_MCA_btl_vader_backing_directory: folder,
  OMPI_MCA_orte_tmpdir_base: folder,
});

/** Every process of a job has it in its environment, whoever started it. */
const marker = 'BATCHNORM_TEST_JOB';

/** What takes longer, in milliseconds, hangs, and is killed. */
const limit = 40_000;

/** Runs a program of `programs/` until it and all processes that it started have ended. */
export async function runJob(program: string, { ranks, args = [], mpirun = 'mpirun' }: JobOptions): Promise<JobResult> {
  const id = randomUUID();
  const folder = mkdtempSync(join(tmpdir(), 'batchnorm-job-'));
  onTestFinished(() => {
    killAll(id);
    rmSync(folder, { recursive: true });
  });
  const reports = join(folder, 'reports');
  const script = [fileURLToPath(new URL(`programs/${program}`, import.meta.url)), ...args];
  const [command, ...rest] =
    ranks === 0 ? [process.execPath, ...script] : [mpirun, '-np', `${ranks}`, process.execPath, ...script];
  const child = spawn(command!, rest, {
    env: { ...process.env, ...jobEnvironment, ...filesIn(folder), [marker]: id, BATCHNORM_TEST_REPORTS: reports },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const print = (text: string) => {
    output += text;
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', print);
  const closed = once(child, 'close');
  const begun = performance.now();
  let hung = false;
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  while (isRunning() || processesOf(id).length > 0) {
    await setTimeout(20);
    hung ||= performance.now() - begun > limit;
    if (hung) killAll(id);
  }
  const endedAt = Date.now();
  await closed;
  return { exitCode: child.exitCode, hung, reports: reportsIn(reports), output, endedAt };
}

/** Reports of each rank, in rank order. */
export function byRank(reports: readonly Report[], ranks: number): Report[][] {
  return Array.from({ length: ranks }, (_, rank) => reports.filter((report) => report.rank === rank));
}

function reportsIn(file: string): Report[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Report);
}

function killAll(id: string): void {
  for (const pid of processesOf(id)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended by itself.
    }
  }
}

/** Those that are alive: a zombie has no environment. */
function processesOf(id: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => environmentOf(pid).includes(`${marker}=${id}`))
    .map(Number);
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
