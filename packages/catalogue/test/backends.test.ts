// Each entry of the registry makes the backend that it says.
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { expect, it } from 'vitest';
import { backends, backendsOn, createBackend } from '../src/backends.js';
import { registry } from '../src/registry.js';

for (const name of backendsOn('node')) {
  const create = () => createBackend(name);
  await describeBackend(name, create, () =>
    it('is a backend of its family', async () => {
      const backend = await create();
      expect(backend.name).toBe(backends[name]!.family);
      await backend.dispose();
    }),
  );
}

it('has the threads that its name says, and without a number those of its own choice', async () => {
  const threads: number[] = [];
  for (const name of ['wasm-1', 'wasm-2', 'wasm']) {
    const backend = await createBackend(name);
    threads.push(backend.execution.threads);
    await backend.dispose();
  }
  expect(threads.slice(0, 2)).toEqual(registry.wasm.threads);
  expect(threads[2]).toBeGreaterThanOrEqual(1);
});
