// Runs a compiled program by itself, in an empty folder: alone, or as the job of an MPI launcher.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jobEnvironment } from '@batchnorm/testing/mpi';

export interface Ended {
  readonly status: number | null;
  /** Both streams, as they came. */
  readonly output: string;
}

/** `launcher`: what the command line begins with. */
export async function run(file: string, launcher: readonly string[] = []): Promise<Ended> {
  const folder = await mkdtemp(join(tmpdir(), 'snippet-'));
  const [command, ...options] = [...launcher, process.execPath, '--enable-source-maps', file];
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(command!, options, { cwd: folder, env: { ...process.env, ...jobEnvironment } });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
      }
      child.on('error', reject).on('close', (status) => resolve({ status, output }));
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
