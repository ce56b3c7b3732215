// Compiling kernels is dear on some backends: each layer keeps those of the extents it saw last.
import type { Kernels } from './backend.js';
import type { Extent } from './extent.js';
import type { MaybePromise } from './maybe-promise.js';

/** A training set's batches, its last and smaller one, those of its test set, and room to spare. */
const capacity = 8;

export class KernelCache {
  readonly #prepare: (extent: Extent) => MaybePromise<Kernels>;
  /** The least recently used first. */
  readonly #kernels = new Map<string, Kernels>();

  constructor(prepare: (extent: Extent) => MaybePromise<Kernels>) {
    this.#prepare = prepare;
  }

  /** The kernels for `extent`; makes room by disposing the least recently used, but never `pinned`. */
  async get(extent: Extent, pinned: Kernels | undefined): Promise<Kernels> {
    const key = `${extent.outer}×${extent.inner}`;
    const kernels = this.#kernels.get(key) ?? (await this.#prepare(extent));
    this.#kernels.delete(key);
    this.#kernels.set(key, kernels);
    if (this.#kernels.size > capacity) this.#evict(pinned);
    return kernels;
  }

  dispose(): void {
    for (const kernels of this.#kernels.values()) kernels.dispose();
    this.#kernels.clear();
  }

  #evict(pinned: Kernels | undefined): void {
    for (const [key, kernels] of this.#kernels) {
      if (kernels === pinned) continue;
      kernels.dispose();
      this.#kernels.delete(key);
      return;
    }
  }
}
