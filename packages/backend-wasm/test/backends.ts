// Backends of one and of two threads, for the tests of a file.
import type { Backend } from '@batchnorm/core-api';
import { afterAll } from 'vitest';
import { createWasmBackend } from '../src/index.js';

/** By their threads. */
export const backends: ReadonlyMap<number, Backend> = new Map([
  [1, await createWasmBackend({ threads: 1 })],
  [2, await createWasmBackend({ threads: 2 })],
]);

afterAll(() => Promise.all([...backends.values()].map((backend) => backend.dispose())));
