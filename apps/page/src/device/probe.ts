// Whether a backend works on this device: made, and described by itself.
import type { BackendName } from '../backends.js';
import { createBackend } from '../create-backend.js';
import type { Available } from '../messages.js';

/** Errors: `BACKEND_UNAVAILABLE` with the reason. */
export async function probe({ backend: name }: { readonly backend: BackendName }): Promise<Available> {
  const backend = await createBackend(name);
  // Copies: the originals may be getters, which a message does not carry.
  const available = { execution: { ...backend.execution }, capabilities: { ...backend.capabilities } };
  await backend.dispose();
  return available;
}
