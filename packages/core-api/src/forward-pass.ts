// One forward with its own backward, as users hold it. Any number may be alive at a time.

import type { AnyActivation } from './activation.js';
import type { AllocatedTensor } from './allocated-tensor.js';
import type { BackwardOptions, Gradients, NewBackwardOptions } from './calls.js';
import type { Statistics } from './moments.js';
import type { Tensor } from './tensor.js';

/** A new result beside activations T. */
type NewOf<T extends AnyActivation> = T extends Tensor ? AllocatedTensor : T;

/** What the layer does for a pass. None of it may refer to the pass, which else would never be garbage. */
export interface PassCalls<T extends AnyActivation> {
  backward(dy: T, options: BackwardOptions<T> | undefined): Promise<Gradients<T>>;
  statistics(): Promise<Statistics>;
  release(): Promise<void>;
}

/** The same for a pass of `BatchNorm.sync`. */
export interface SyncPassCalls<T extends AnyActivation> {
  backward(dy: T, options: BackwardOptions<T> | undefined): Gradients<T>;
  statistics(): Statistics;
  releaseNow(): void;
  /** When no call is in its way. */
  release(): Promise<void>;
}

/** Releases what a pass holds when the garbage collector has found the pass. */
const dropped = new FinalizationRegistry<Pick<PassCalls<never>, 'release'>>((calls) => void calls.release());

/** A forward with its backward, of activations T and with results Y: see `BatchNorm.forwardPass`. */
export class ForwardPass<T extends AnyActivation = Tensor, Y extends T = T> {
  /** Belongs to the caller, also after `dispose()`. */
  readonly y: Y;
  readonly #calls: PassCalls<T>;

  constructor(y: Y, calls: PassCalls<T>) {
    this.y = y;
    this.#calls = calls;
    dropped.register(this, calls, this);
  }

  /**
   * The gradients of this forward, as `BatchNorm.backward` gives those of the latest. May be called again, and then
   * gives the same. Errors: those of `BatchNorm.backward`; `DISPOSED`, also after the layer's `dispose()`.
   */
  backward(dy: T, options?: NewBackwardOptions): Promise<Gradients<NewOf<T>>>;
  backward(dy: T, options?: BackwardOptions<T>): Promise<Gradients<T>>;
  backward(dy: T, options?: BackwardOptions<never>): Promise<Gradients<never>> {
    return this.#calls.backward(dy, options as BackwardOptions<T>) as Promise<Gradients<never>>;
  }

  /**
   * A copy of the mean and the population variance that normalised x, [C] each: those of the batch, or the running ones
   * as they were at the forward. Statistics of device tensors are read from the device now. Errors: `DISPOSED`,
   * `DEVICE_LOST`.
   */
  statistics(): Promise<Statistics> {
    return this.#calls.statistics();
  }

  /**
   * Frees what the backward needs, after the calls before it. Without `dispose()` that is freed when the garbage
   * collector finds the pass, which may be late. May be called again, and then does nothing.
   */
  dispose(): Promise<void> {
    dropped.unregister(this);
    return this.#calls.release();
  }
}

/** A forward with its backward, of which every call returns at once: see `BatchNorm.sync`. */
export class SyncForwardPass<T extends AnyActivation = Tensor, Y extends T = T> {
  /** Belongs to the caller, also after `dispose()`. */
  readonly y: Y;
  readonly #calls: SyncPassCalls<T>;

  constructor(y: Y, calls: SyncPassCalls<T>) {
    this.y = y;
    this.#calls = calls;
    dropped.register(this, calls, this);
  }

  /** As `ForwardPass.backward`. Errors: those, and `CALL_PENDING`. */
  backward(dy: T, options?: NewBackwardOptions): Gradients<NewOf<T>>;
  backward(dy: T, options?: BackwardOptions<T>): Gradients<T>;
  backward(dy: T, options?: BackwardOptions<never>): Gradients<never> {
    return this.#calls.backward(dy, options as BackwardOptions<T>) as Gradients<never>;
  }

  /** As `ForwardPass.statistics`. Errors: those, and `CALL_PENDING`. */
  statistics(): Statistics {
    return this.#calls.statistics();
  }

  /** As `ForwardPass.dispose`. Errors: `CALL_PENDING`, and then nothing is freed. */
  dispose(): void {
    this.#calls.releaseNow();
    dropped.unregister(this);
  }
}
