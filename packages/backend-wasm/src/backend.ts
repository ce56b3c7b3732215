// The backend: what it can do, and kernels on demand.
import {
  type AllocatedTensor,
  assertDtype,
  assertOptionNames,
  type Backend,
  BatchNormError,
  type Capabilities,
  checkedShape,
  checkedTensor,
  copyOn,
  type DeviceTensor,
  type Dtype,
  describe,
  dtypeOf,
  type Execution,
  type Kernels,
  ordinaryTensor,
  type Plan,
  readUntrusted,
  type Tensor,
} from '@batchnorm/core-api';
import { attempt } from './attempt.js';
import { WasmTensor } from './device-tensor.js';
import { hasRelaxedSimd, parallelism, reasonAgainstSimd, reasonAgainstThreads } from './features.js';
import {
  type Instance,
  type Instances,
  newMemory,
  type Shared,
  sharedInstance,
  singleInstance,
  threadedInstance,
  unavailable,
} from './instance.js';
import { WasmKernels } from './kernels.js';
import { MemoryBudget } from './linear-memory.js';
import { SharedArrays } from './shared-arrays.js';
import type { NewWorker } from './worker-thread.js';

/** How many threads and how much memory a WebAssembly backend may use. */
export interface WasmOptions {
  /**
   * Threads that share large work, the calling one included. Default: as many as the machine runs at once, at most 4,
   * and 1 where threads can't share memory: `execution.threads` says how many there are, and `fallbackReason` why not
   * as many as were asked for.
   */
  readonly threads?: number;
  /**
   * Makes a worker for each thread beside the calling one, in a page whose content security policy allows none of text
   * (`worker-src blob:`): `() => new Worker(new URL('./threads.js', import.meta.url), { type: 'module' })`, where
   * threads.js imports '@batchnorm/backend-wasm/worker'. Node, Deno and Bun do without. Where it throws, gives no
   * worker, or one that has not begun after 10 s, there is one thread, and `execution.fallbackReason` says why.
   */
  readonly worker?: NewWorker;
  /** Bytes that tensors and kernels may take together; memory grows as they do. Default 4 GiB less 64 KiB, the most. */
  readonly maxBytes?: number;
}

/** More threads than this wait for memory, not for arithmetic. */
const usefulThreads = 4;
const mostThreads = 64;
/** A page for host arrays and one for device tensors, and what addresses of 32 bits reach. */
const [fewestBytes, mostBytes] = [2 * 65536, 65535 * 65536];

/**
 * BatchNorm in WebAssembly: SIMD, and threads where memory can be shared. Errors: `INVALID_OPTION`;
 * `BACKEND_UNAVAILABLE` with the reason where there is no SIMD, or where a content security policy forbids WebAssembly.
 */
export async function createWasmBackend(options: WasmOptions = {}): Promise<Backend> {
  const { threads, worker, maxBytes } = readUntrusted('INVALID_OPTION', 'options', () => validateOptions(options));
  const reason = reasonAgainstSimd();
  if (reason !== undefined) throw unavailable(reason);
  if (threads === 1) return createSingle(maxBytes, null);

  const against = reasonAgainstThreads();
  if (against === undefined && Math.min(threads ?? parallelism(), usefulThreads) > 1) {
    return createThreaded(maxBytes, threads ?? Math.min(parallelism(), usefulThreads), worker);
  }
  return createSingle(maxBytes, against ?? null);
}

async function createSingle(maxBytes: number, fallbackReason: string | null): Promise<Backend> {
  const budget = new MemoryBudget(maxBytes);
  const instance = await singleInstance(newMemory(budget, false));
  return new WasmBackend(instance, instance, budget, 1, fallbackReason);
}

/** Host arrays have a memory of their own: engines copy in and out of a shared one word by word, in twice the time. */
async function createThreaded(maxBytes: number, threads: number, worker: NewWorker | undefined): Promise<Backend> {
  const budget = new MemoryBudget(maxBytes);
  const memory = newMemory(budget, true);
  const host = await singleInstance(newMemory(budget, false));
  try {
    const device = await threadedInstance(memory, threads, worker);
    return new WasmBackend(host, device, budget, threads, null);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return createSingle(maxBytes, `worker threads did not start: ${reason}`);
  }
}

class WasmBackend implements Backend {
  readonly contractVersion = 2;
  readonly name = 'wasm';
  readonly capabilities: Capabilities;
  readonly execution: Execution;
  readonly #instances: Instances & { shared: Shared | undefined };
  readonly #budget: MemoryBudget;
  #disposed = false;

  constructor(host: Instance, device: Instance, budget: MemoryBudget, threads: number, fallbackReason: string | null) {
    this.capabilities = {
      dtypes: ['float16', 'float32', 'float64'],
      deviceTensors: true,
      synchronous: true,
      deterministic: true,
      // x and y of float16; of others, or where there are more tensors, memory says when it is full.
      limits: { elements: Math.floor(budget.maxBytes / 4) },
    };
    this.execution = {
      engine: hasRelaxedSimd() ? 'WebAssembly relaxed SIMD' : 'WebAssembly SIMD',
      device: 'cpu',
      threads,
      accumulation: { float16: 'blocked-float32', float32: 'blocked-float32', float64: 'float64' },
      fallbackReason,
    };
    this.#instances = { backend: this, host, device, shared: undefined, assertUsable: () => this.#assertUsable() };
    this.#budget = budget;
  }

  prepare(plan: Plan): Kernels {
    this.#assertUsable();
    return new WasmKernels(this.#instances, plan);
  }

  upload(tensor: Tensor): DeviceTensor {
    this.#assertUsable();
    const { data, shape } = checkedTensor(tensor);
    assertDtype(this, dtypeOf(data));
    return attempt((made) => {
      const there = made.keep(WasmTensor.of(this, this.#instances.device.memory, dtypeOf(data), shape));
      there.view().set(data);
      return there;
    });
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    this.#assertUsable();
    const own = checkedShape(this, shape, dtype);
    return this.#sharedArrays()?.empty(own, dtype) ?? ordinaryTensor(this, own, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    this.#assertUsable();
    return copyOn(this, tensor);
  }

  resultLike({ data, shape }: Tensor): AllocatedTensor | undefined {
    const arrays = this.#instances.shared?.arrays;
    return arrays?.addressOf(data) === undefined ? undefined : arrays.result(shape, dtypeOf(data));
  }

  allocatedBytes(): number {
    const { host, device, shared } = this.#instances;
    const memories = new Set([host, device, shared?.instance ?? host].map(({ memory }) => memory));
    return [...memories].reduce((bytes, memory) => bytes + memory.allocatedBytes, 0);
  }

  synchronously(work: () => void): void {
    const { pool } = this.#instances.device;
    if (pool) pool.synchronously(work);
    else work();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#instances.device.pool?.dispose();
  }

  /** Made when they are first asked for; undefined where memory can't be shared. */
  #sharedArrays(): SharedArrays | undefined {
    this.#instances.shared ??= this.#newShared();
    return this.#instances.shared?.arrays;
  }

  #newShared(): Shared | undefined {
    const { host, device } = this.#instances;
    if (reasonAgainstThreads() !== undefined) return undefined;
    const instance = device === host ? sharedInstance(newMemory(this.#budget, true)) : device;
    return { instance, arrays: new SharedArrays(instance.memory) };
  }

  #assertUsable(): void {
    if (this.#disposed) {
      throw new BatchNormError('DISPOSED', "received a call after dispose() of backend 'wasm', expected none");
    }
    this.#instances.device.pool?.assertUsable();
  }
}

interface CheckedOptions {
  readonly threads: number | undefined;
  readonly worker: NewWorker | undefined;
  readonly maxBytes: number;
}

function validateOptions(options: WasmOptions): CheckedOptions {
  assertOptionNames(options, ['threads', 'worker', 'maxBytes']);
  const { threads, worker, maxBytes = mostBytes } = options;
  if (worker !== undefined && typeof worker !== 'function') {
    invalid(`worker ${describe(worker)}`, 'a function that makes a Worker');
  }
  if (threads !== undefined && !isWhole(threads, 1, mostThreads)) {
    invalid(`threads ${describe(threads)}`, `a whole number from 1 to ${mostThreads}`);
  }
  if (!isWhole(maxBytes, fewestBytes, mostBytes)) {
    invalid(`maxBytes ${describe(maxBytes)}`, `a whole number from ${fewestBytes} to ${mostBytes}`);
  }
  return { threads, worker, maxBytes };
}

function isWhole(value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

function invalid(received: string, expected: string): never {
  throw new BatchNormError('INVALID_OPTION', `received ${received}, expected ${expected}`);
}
