// Compiling kernels is dear on some backends: each layer keeps those of the extents it saw last, and those that are in use.
import type { Kernels } from './backend.js';
import type { Extent } from './extent.js';
import type { MaybePromise } from './maybe-promise.js';

/** A training set's batches, its last and smaller one, those of its test set, and room to spare. */
const capacity = 8;

/** Kernels with the number of those who use them. */
interface Entry {
  readonly kernels: Kernels;
  users: number;
}

/** Kernels that stay until they are released, once. */
export interface Lease {
  readonly kernels: Kernels;
  release(): void;
}

export class KernelCache {
  readonly #prepare: (extent: Extent) => MaybePromise<Kernels>;
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();

  constructor(prepare: (extent: Extent) => MaybePromise<Kernels>) {
    this.#prepare = prepare;
  }

  /** The kernels for `extent`: at once, if it was among the last. */
  lease(extent: Extent): Lease | Promise<Lease> {
    const key = `${extent.outer}×${extent.inner}`;
    const entry = this.#entries.get(key);
    return entry ? this.#use(key, entry) : this.#prepared(key, extent);
  }

  async #prepared(key: string, extent: Extent): Promise<Lease> {
    return this.#use(key, { kernels: await this.#prepare(extent), users: 0 });
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
    return { kernels: entry.kernels, release };
  }

  /** When every lease has been released. */
  dispose(): void {
    for (const { kernels } of this.#entries.values()) kernels.dispose();
    this.#entries.clear();
  }

  /** Disposes the least recently used, but none that are in use. */
  #makeRoom(): void {
    for (const [key, { kernels, users }] of this.#entries) {
      if (this.#entries.size <= capacity) return;
      if (users > 0) continue;
      kernels.dispose();
      this.#entries.delete(key);
    }
  }
}
