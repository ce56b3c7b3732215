// What a program would choose by itself: `selectBackend`, in a worker.
import { createBackend } from '@batchnorm/catalogue';
import { type Operation, type SelectionReport, selectBackend } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import type { Shape } from '../shape.js';

interface Request {
  readonly backends: readonly BackendName[];
  readonly shape: Shape;
  readonly operation: Operation;
}

/** Errors: `BACKEND_UNAVAILABLE` with every reason. */
export async function select({ backends, ...question }: Request): Promise<SelectionReport> {
  const candidates = backends.map((name) => ({ name, create: () => createBackend(name) }));
  const { backend, report } = await selectBackend(candidates, question);
  await backend.dispose();
  return report;
}
