// What a backend without device tensors is asked instead of them.
import type { Refusal, Subject } from '../conformance-case.js';
import { refusal } from '../expect-refusal.js';

/** A backend that says it has no device tensors refuses to upload one. */
export function refusedUpload({ backend, dtype }: Subject): Promise<Refusal> {
  const data = dtype === 'float64' ? new Float64Array(2) : new Float32Array(2);
  return refusal('upload without device tensors', 'UNSUPPORTED', async () =>
    (await backend.upload({ data, shape: [2, 1] })).dispose(),
  );
}
