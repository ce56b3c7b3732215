// What a backend without device tensors is asked instead of them.
import { allocate } from '@batchnorm/core-api';
import type { Refusal, Subject } from '../conformance-case.js';
import { refusal } from '../expect-refusal.js';

/** A backend that says it has no device tensors refuses to upload one. */
export function refusedUpload({ backend, dtype }: Subject): Promise<Refusal> {
  return refusal('upload without device tensors', 'UNSUPPORTED', async () =>
    (await backend.upload({ data: allocate(dtype, 2), shape: [2, 1] })).dispose(),
  );
}
