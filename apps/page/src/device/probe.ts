// Whether a backend works on this device: made, and described by itself.
import { createBackend } from '@batchnorm/catalogue';
import type { BackendName } from '../backends.js';
import type { Available } from '../messages.js';

/** Errors: `BACKEND_UNAVAILABLE` with the reason. */
export async function probe({ backend: name }: { readonly backend: BackendName }): Promise<Available> {
  const backend = await createBackend(name);
  await backend.dispose();
  return { execution: backend.execution, capabilities: backend.capabilities };
}
