// Where there is no MPI: the code, and what to install.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { createMpiCollective } from '../src/index.js';
import { loadMpi } from '../src/mpi-library.js';

const toInstall = /npm install koffi; .*apt-get install --no-install-recommends openmpi-bin/;

describe('where something is missing', () => {
  it('says how to install koffi', async () => {
    const missing = () => Promise.reject(new Error("Cannot find package 'koffi'"));
    const attempt = loadMpi(undefined, missing);
    await expect(attempt).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await expect(attempt).rejects.toThrow(toInstall);
  });

  it('says how to install MPI, and which files it looked for', async () => {
    const load = (path: string) => {
      throw new Error(`no ${path}`);
    };
    const attempt = loadMpi(undefined, () => Promise.resolve({ default: { load } }));
    await expect(attempt).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await expect(attempt).rejects.toThrow(toInstall);
    await expect(attempt).rejects.toThrow(/no libmpi\.so\.40; no libmpich\.so\.12/);
  });

  it('refuses a library that is no MPI', async () => {
    const library = {
      func: (name: string) => {
        throw new Error(`no ${name}`);
      },
      symbol: () => 0n,
    };
    const attempt = loadMpi('libm.so.6', () => Promise.resolve({ default: { load: () => library } }));
    await expect(attempt).rejects.toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    await expect(attempt).rejects.toThrow(/'libm\.so\.6', which is no MPI: no MPI_Initialized/);
  });
});

describe('createMpiCollective', () => {
  it.each([
    [{ timeoutMs: 0 }, /timeoutMs 0/],
    [{ timeoutMs: Number.NaN }, /timeoutMs NaN/],
    [{ group: -1 }, /group -1/],
    [{ group: 2 ** 31 }, /group 2147483648/],
    [{ library: 3 }, /library 3/],
    [{ timeout: 5 }, /an option 'timeout'/],
    [null, /null/],
  ])('refuses %o', async (options, message) => {
    const attempt = createMpiCollective(options as never);
    await expect(attempt).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    await expect(attempt).rejects.toThrow(message);
  });

  it('refuses worker threads', async () => {
    const worker = new Worker(new URL('programs/worker.mjs', import.meta.url));
    try {
      const [answer] = await once(worker, 'message');
      expect(answer).toEqual({ code: 'UNSUPPORTED', message: expect.stringMatching(/a worker thread, expected/) });
    } finally {
      await worker.terminate();
    }
  });
});
