// The kernels of assembly/, instantiated in a linear memory of their own.
import { type Backend, BatchNormError } from '@batchnorm/core-api';
import type { KernelExports, PoolExports } from './abi/exports.js';
import { hasRelaxedSimd } from './features.js';
import { LinearMemory, type MemoryBudget } from './linear-memory.js';
import { modules } from './modules.js';
import type { SharedArrays } from './shared-arrays.js';
import { WorkerPool } from './worker-pool.js';
import type { NewWorker } from './worker-thread.js';

export interface Instance {
  readonly memory: LinearMemory;
  readonly exports: KernelExports;
  /** The threads that help the calling one, if there are any. */
  readonly pool: WorkerPool | undefined;
}

/** A backend and the instances that its kernels compute in, which may be one. */
export interface Instances {
  readonly backend: Backend;
  readonly host: Instance;
  readonly device: Instance;
  /** Where allocated tensors lie; undefined before there is one, and where memory can't be shared. */
  readonly shared: Shared | undefined;
  /** Errors: `DISPOSED`. */
  assertUsable(): void;
}

/** Shared memory, and the host arrays in it. */
export interface Shared {
  readonly instance: Instance;
  readonly arrays: SharedArrays;
}

/** Errors: `BACKEND_UNAVAILABLE`. */
export function newMemory(budget: MemoryBudget, shared: boolean): LinearMemory {
  try {
    return new LinearMemory(budget, shared);
  } catch (error) {
    throw unavailable(`this engine gave no WebAssembly memory of up to ${budget.maxBytes} bytes: ${error}`);
  }
}

/** Kernels for the calling thread alone. Errors: `BACKEND_UNAVAILABLE`. */
export async function singleInstance(memory: LinearMemory): Promise<Instance> {
  const { exports } = await instantiate<KernelExports>('single', memory);
  return { memory, exports, pool: undefined };
}

/**
 * Kernels for `threads` threads, the calling one included; `newWorker` makes the others in a page. Rejects with the reason
 * when they do not start.
 */
export async function threadedInstance(
  memory: LinearMemory,
  threads: number,
  newWorker: NewWorker | undefined,
): Promise<Instance> {
  const { exports, module } = await instantiate<PoolExports>('threaded', memory);
  return { memory, exports, pool: await WorkerPool.start(exports, module, memory.memory, threads - 1, newWorker) };
}

/** Kernels for the calling thread alone in shared memory, at once: whoever needs them can't wait. */
export function sharedInstance(memory: LinearMemory): Instance {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytesOf('threaded')), importsOf(memory));
  return { memory, exports: exports as unknown as KernelExports, pool: undefined };
}

async function instantiate<T>(kind: Kind, memory: LinearMemory) {
  try {
    const { module, instance } = await WebAssembly.instantiate(bytesOf(kind), importsOf(memory));
    return { module, exports: instance.exports as unknown as T };
  } catch (cause) {
    // The module is valid here, as features.ts has found out of its like: not to compile it is a policy.
    const policy = "a content security policy needs script-src 'wasm-unsafe-eval'";
    throw unavailable(`it did not compile WebAssembly, for which ${policy} (${(cause as Error).message})`, cause);
  }
}

type Kind = 'single' | 'threaded';

function importsOf({ memory }: LinearMemory): WebAssembly.Imports {
  return { env: { memory } };
}

/** The best module that this engine runs, of those that scripts/make-modules.mjs wrote as text. */
function bytesOf(kind: Kind): Uint8Array<ArrayBuffer> {
  return decoded(modules[hasRelaxedSimd() ? (`${kind}Relaxed` as const) : kind]);
}

/** Not `Uint8Array.from`, which goes through the characters of a string with an iterator: 4 ms instead of 0.1. */
function decoded(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = text.charCodeAt(k);
  return bytes;
}

export function unavailable(reason: string, cause?: unknown): BatchNormError {
  return new BatchNormError(
    'BACKEND_UNAVAILABLE',
    `received a request for backend 'wasm', expected an engine that can run it: ${reason}`,
    { cause },
  );
}
