// The program: several ranks learn what one process learns, step by step, also on two hosts where they can be made.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { skipWithoutMpi } from '@batchnorm/testing/mpi';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

it('learns the same by 1, 2 and 4 ranks', async ({ skip }) => {
  skipWithoutMpi('data-parallel', skip);
  // Fails where a rank's parameters are not those of the others, or losses not those of one process.
  const { stdout } = await run(process.execPath, [main, '--steps', '12']);
  expect(stdout).toMatch(/4 ranks, shared memory.*true/);
  expect(stdout).toMatch(/2 ranks, 2 hosts.*true|SKIPPED: two hosts/);
  for (const [skipped] of stdout.matchAll(/^SKIPPED.*$/gm)) console.warn(skipped);
});
