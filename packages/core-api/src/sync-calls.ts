// The calls of a layer that return at once, for callers that can't await. See `BatchNorm.sync`.
import type { Activation } from './activation.js';
import type { DeviceTensor } from './backend.js';
import type { BackwardOptions, ForwardOptions, Gradients } from './calls.js';
import type { SyncForwardPass } from './forward-pass.js';
import type { Float16Tensor, Tensor } from './tensor.js';

/** What the layer does for them. */
export interface LayerCalls {
  forward(x: Activation, options: ForwardOptions<Activation> | undefined): Activation;
  backward(dy: Activation, options: BackwardOptions<never> | undefined): Gradients<never>;
  forwardPass(x: Activation, options: ForwardOptions<Activation> | undefined): SyncForwardPass<never>;
}

/**
 * `forward`, `backward` and `forwardPass` of a layer, as `BatchNorm` has them, but without promises. Errors of each: those
 * of the asynchronous form, thrown; `CALL_PENDING` while an asynchronous call has not ended.
 */
export class SyncCalls {
  readonly #calls: LayerCalls;

  constructor(calls: LayerCalls) {
    this.#calls = calls;
  }

  /** See `BatchNorm.forward`. */
  forward(x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
  forward(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): DeviceTensor;
  forward<X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): X;
  forward(x: Activation, options?: ForwardOptions<Activation>): Activation {
    return this.#calls.forward(x, options);
  }

  /** See `BatchNorm.backward`. */
  backward(dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
  backward(dy: DeviceTensor, options?: BackwardOptions<DeviceTensor>): Gradients<DeviceTensor>;
  backward<X extends Float16Tensor>(dy: X, options?: BackwardOptions<X>): Gradients<X>;
  backward(dy: Activation, options?: BackwardOptions<never>): Gradients<never> {
    return this.#calls.backward(dy, options);
  }

  /** See `BatchNorm.forwardPass`. */
  forwardPass(x: Tensor, options?: ForwardOptions<Tensor>): SyncForwardPass<Tensor>;
  forwardPass(x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): SyncForwardPass<DeviceTensor>;
  forwardPass<X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): SyncForwardPass<X>;
  forwardPass(x: Activation, options?: ForwardOptions<Activation>): SyncForwardPass<never> {
    return this.#calls.forwardPass(x, options);
  }
}
