// The calls of a layer that return at once, for callers that can't await.
import type { AllocatedTensor } from './allocated-tensor.js';
import type { DeviceTensor } from './backend.js';
import type { BackwardOptions, ForwardOptions, Gradients, NewBackwardOptions, NewForwardOptions } from './calls.js';
import type { SyncForwardPass } from './forward-pass.js';
import type { Float16Tensor, Tensor } from './tensor.js';

/**
 * `forward`, `backward` and `forwardPass` of a layer, as `BatchNorm` has them, but without promises; they may be passed
 * on by themselves. Errors of each: those of the asynchronous form, thrown; `CALL_PENDING` while another call of the
 * layer has not ended.
 */
export interface SyncCalls {
  /** See `BatchNorm.forward`. */
  readonly forward: SyncForward;
  /** See `BatchNorm.backward`. */
  readonly backward: SyncBackward;
  /** See `BatchNorm.forwardPass`. */
  readonly forwardPass: SyncForwardPassCall;
}

interface SyncForward {
  (x: Tensor, options?: NewForwardOptions): AllocatedTensor;
  (x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): DeviceTensor;
  <X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): X;
  (x: Tensor, options?: ForwardOptions<Tensor>): Tensor;
}

interface SyncBackward {
  (dy: Tensor, options?: NewBackwardOptions): Gradients<AllocatedTensor>;
  (dy: DeviceTensor, options?: BackwardOptions<DeviceTensor>): Gradients<DeviceTensor>;
  <X extends Float16Tensor>(dy: X, options?: BackwardOptions<X>): Gradients<X>;
  (dy: Tensor, options?: BackwardOptions<Tensor>): Gradients<Tensor>;
}

interface SyncForwardPassCall {
  (x: Tensor, options?: NewForwardOptions): SyncForwardPass<Tensor, AllocatedTensor>;
  (x: DeviceTensor, options?: ForwardOptions<DeviceTensor>): SyncForwardPass<DeviceTensor>;
  <X extends Float16Tensor>(x: X, options?: ForwardOptions<X>): SyncForwardPass<X>;
  (x: Tensor, options?: ForwardOptions<Tensor>): SyncForwardPass<Tensor>;
}
