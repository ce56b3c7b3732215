// Which kinds of memory a backend has, and what it is asked where it lacks one.
import { allocatesMemory, type Backend, type Dtype } from '@batchnorm/core-api';
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
