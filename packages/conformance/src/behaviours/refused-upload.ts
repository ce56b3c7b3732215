// What a backend without device tensors is asked instead of them.
import type { Refusal, Subject } from '../conformance-case.js';
import { codeOf } from '../expect-refusal.js';

/** A backend that says it has no device tensors refuses to upload one. */
export async function refusedUpload({ backend, dtype }: Subject): Promise<Refusal> {
  const data = dtype === 'float64' ? new Float64Array(2) : new Float32Array(2);
  let code = 'no error';
  let cause: unknown;
  try {
    (await backend.upload({ data, shape: [2, 1] })).dispose();
  } catch (error) {
    code = codeOf(error);
    cause = error;
  }
  if (code === 'UNSUPPORTED') return { refused: code };
  throw new Error(`upload: received ${code}, expected UNSUPPORTED, as the capabilities say`, { cause });
}
