// Which kinds of memory a backend has, and what it is asked where it lacks one.
import type { Backend, Dtype } from '@batchnorm/core-api';
import { refusedUpload } from '../behaviours/refused-upload.js';
import type { MemoryKind, Refusal, Subject } from '../conformance-case.js';

/** All of them. */
export const memoryKinds: readonly MemoryKind[] = ['host', 'allocated', 'device'];

/** Those that a backend has. */
export function kindsOf(backend: Backend, dtype: Dtype): readonly MemoryKind[] {
  const { deviceTensors } = backend.capabilities;
  const has = { host: true, allocated: allocatesMemory(backend, dtype), device: deviceTensors };
  return memoryKinds.filter((kind) => has[kind]);
}

/** Whether the tensors that it allocates lie in memory of its own: results of one then lie there, too. */
export function allocatesMemory(backend: Backend, dtype: Dtype): boolean {
  const tensor = backend.empty([1, 1], dtype);
  try {
    const result = backend.resultLike?.(tensor);
    result?.dispose();
    return result !== undefined;
  } finally {
    tensor.dispose();
  }
}

/** Why a case in this memory can say nothing about the subject; undefined if it can. */
export function reasonAgainst(kind: MemoryKind, { backend, dtype }: Subject): string | undefined {
  const isAsked =
    kind !== 'allocated' || !backend.capabilities.dtypes.includes(dtype) || allocatesMemory(backend, dtype);
  return isAsked ? undefined : 'the tensors that it allocates are ordinary arrays';
}

/** What a backend without device tensors is asked instead; undefined where it has this memory. */
export function refusedMemory(kind: MemoryKind, subject: Subject): Promise<Refusal> | undefined {
  return kind === 'device' && !subject.backend.capabilities.deviceTensors ? refusedUpload(subject) : undefined;
}
