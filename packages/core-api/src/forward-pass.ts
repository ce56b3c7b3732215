// One forward, held by whoever made it: any number are alive at once, and each has its own backward.

import type { Statistics } from './backend.js';
import type { BackwardOptions, Gradients } from './batch-norm.js';
import type { DeviceTensor, Tensor } from './tensor.js';

/** What the layer does for a pass. It must not hold the pass, or nobody would notice that it was dropped. */
export interface PassCalls<T extends Tensor | DeviceTensor> {
  backward(dy: T, options: BackwardOptions<T> | undefined): Promise<Gradients<T>>;
  statistics(): Promise<Statistics>;
  release(): Promise<void>;
}

/** Releases what passes hold that nobody can reach any more, where the engine tells. */
const dropped = new FinalizationRegistry<() => Promise<void>>((release) => void release());

/** A forward with its backward: see `BatchNorm.forwardPass`. */
export class ForwardPass<T extends Tensor | DeviceTensor = Tensor> {
  /** The caller's, also after `dispose()`. */
  readonly y: T;
  readonly #calls: PassCalls<T>;

  constructor(y: T, calls: PassCalls<T>) {
    this.y = y;
    this.#calls = calls;
    dropped.register(this, () => calls.release(), this);
  }

  /**
   * The gradients of this forward, whatever other forwards there were: as `BatchNorm.backward` gives them for the latest. Again gives
   * the same again. Errors: those of `BatchNorm.backward`; `DISPOSED`, also after the layer's `dispose()`.
   */
  backward(dy: T, options?: BackwardOptions<T>): Promise<Gradients<T>> {
    return this.#calls.backward(dy, options);
  }

  /**
   * A copy of the mean and the population variance that normalised x, [C] each: the batch's own, or the running ones as they were.
   * Of device tensors they are read now. Errors: `DISPOSED`, `DEVICE_LOST`.
   */
  statistics(): Promise<Statistics> {
    return this.#calls.statistics();
  }

  /**
   * Frees what the backward needs, after the calls before it. A pass that is dropped is freed when the garbage collector finds it,
   * which may be late. Again is allowed and does nothing.
   */
  dispose(): Promise<void> {
    dropped.unregister(this);
    return this.#calls.release();
  }
}
