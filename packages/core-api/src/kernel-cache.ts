// Preparing kernels is slow on some backends: a layer keeps those in use, and those of the extents that it saw last.
import type { DeviceMemory, HostMemory, Kernels } from './backend.js';
import type { Extent } from './extent.js';
import type { MaybePromise } from './maybe-promise.js';
import { operationsOf, type StagedOperations } from './operations.js';
import { arrived, type Steps } from './steps.js';

/**
 * How many are kept though nobody uses them: for the batches of a training set and a test set, each with a smaller last
 * one, and some more.
 */
const capacity = 8;

/** What kernels can do, in each kind of memory that they have. */
export interface OperationsByMemory {
  readonly host: StagedOperations<HostMemory>;
  readonly device: StagedOperations<DeviceMemory> | undefined;
}

/** Kernels, and how many leases of them have not been released. */
interface Entry extends OperationsByMemory {
  readonly kernels: Kernels;
  users: number;
}

/** Kernels that are not disposed before `release`, which must be called once. */
export interface Lease {
  readonly operations: OperationsByMemory;
  release(): void;
}

export class KernelCache {
  readonly #prepare: (extent: Extent) => MaybePromise<Kernels>;
  /** In the order of their latest lease. */
  readonly #entries = new Map<string, Entry>();

  constructor(prepare: (extent: Extent) => MaybePromise<Kernels>) {
    this.#prepare = prepare;
  }

  /** The kernels for `extent`, which wait to be prepared unless they are kept. Errors: those of `Backend.prepare`. */
  *lease(extent: Extent): Steps<Lease> {
    const key = `${extent.outer}×${extent.inner}`;
    return this.#use(key, this.#entries.get(key) ?? (yield* this.#prepared(extent)));
  }

  *#prepared(extent: Extent): Steps<Entry> {
    const kernels = yield* arrived(this.#prepare(extent));
    const device = kernels.device && operationsOf(kernels.device);
    return { kernels, host: operationsOf(kernels), device, users: 0 };
  }

  #use(key: string, entry: Entry): Lease {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    this.#makeRoom();
    const release = () => {
      entry.users--;
      this.#makeRoom();
    };
    return { operations: entry, release };
  }

  /** Disposes all kernels. Every lease must have been released. */
  dispose(): void {
    for (const { kernels } of this.#entries.values()) kernels.dispose();
    this.#entries.clear();
  }

  /** Disposes the least recently used kernels that have no lease, until no more than `capacity` are left. */
  #makeRoom(): void {
    for (const [key, { kernels, users }] of this.#entries) {
      if (this.#entries.size <= capacity) return;
      if (users > 0) continue;
      kernels.dispose();
      this.#entries.delete(key);
    }
  }
}
