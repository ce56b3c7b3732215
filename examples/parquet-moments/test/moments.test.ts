// Statistics of files: right, the same to the bit by one process and by two ranks, and gone on with where they ended.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { MomentsState } from '@batchnorm/core-api';
import { jobEnvironment, skipWithoutMpi } from '@batchnorm/testing/mpi';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { batchesOf, connect, fileOf, writeFile } from '../src/data.js';

const run = promisify(execFile);
const rank = fileURLToPath(new URL('../dist/rank.js', import.meta.url));
const [files, rows, C] = [5, 20_000, 3];

const folder = mkdtempSync(join(tmpdir(), 'parquet-moments-'));
beforeAll(async () => {
  const connection = await connect();
  for (let n = 0; n < files; n++) await writeFile(connection, fileOf(folder, n), rows, C, n);
  connection.closeSync();
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  readonly moments: MomentsState;
  /** How many files rank 0 has read. */
  readonly read: number;
}

async function momentsBy(ranks: number): Promise<Result> {
  const program = [process.execPath, rank, folder, `${files}`, `${C}`];
  const [command, ...args] = ranks === 1 ? program : ['mpirun', '-np', `${ranks}`, ...program];
  const { stdout } = await run(command!, args, { env: { ...process.env, ...jobEnvironment }, timeout: 100_000 });
  return JSON.parse(stdout);
}

function forget(...files: readonly number[]): void {
  for (const n of files) rmSync(`${fileOf(folder, n)}.moments.json`, { force: true });
}

it('are those of all rows, the same bits for any number of ranks, and go on from what is done', async ({ skip }) => {
  skipWithoutMpi('parquet-moments', skip);
  const one = await momentsBy(1);
  expect(one.read).toBe(files);
  forget(1, 3);
  expect(await momentsBy(1)).toMatchObject({ moments: one.moments, read: 2 });
  forget(0, 1, 2, 3, 4);
  // Rank 0 has the files 0, 2 and 4.
  expect(await momentsBy(2)).toMatchObject({ moments: one.moments, read: 3 });

  const values = Array.from({ length: C }, (): number[] => []);
  const connection = await connect();
  for (let n = 0; n < files; n++) {
    for await (const { data } of batchesOf(connection, fileOf(folder, n))) {
      for (const [k, value] of data.entries()) values[k % C]!.push(value);
    }
  }
  connection.closeSync();
  expect(one.moments.count).toBe(files * rows);
  for (const [c, column] of values.entries()) {
    const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
    const m2 = column.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    expect(column).toHaveLength(files * rows);
    expect(one.moments.mean[c]).toBeCloseTo(mean, 6);
    expect(one.moments.m2[c]! / m2).toBeCloseTo(1, 6);
    // Uniform: nobody has lost a part of them.
    expect(Math.abs(mean - c - 0.5)).toBeLessThan(0.01);
  }
});
