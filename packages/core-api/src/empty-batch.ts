// A batch without values, in a layer with `emptyBatch: 'pass'`: no kernels run, and gradients of parameters are 0.
import { type Activation, activationOf, elementsOf, isDeviceTensor } from './activation.js';
import type { BackwardInput, BackwardOutput, DeviceTensor, Memory } from './backend.js';
import type { BackwardOperations } from './forward-record.js';
import type { ResolvedOptions } from './options.js';
import { allocate, type FloatArray, type Tensor } from './tensor.js';
import { zeros } from './vector.js';

/** An activation of no elements, of the shape and in the memory of x. */
export async function emptyLike(x: Activation, { backend, dtype }: ResolvedOptions): Promise<Activation> {
  const empty = activationOf(allocate(dtype, 0), x.shape) as Tensor;
  return isDeviceTensor(x) ? backend.upload(empty) : empty;
}

/** The backward of an empty batch: dx is empty, dgamma and dbeta are 0. */
export function emptyOperations(options: ResolvedOptions): BackwardOperations {
  const vector = () => zeros(options.numFeatures);
  const backward = async ({ dy, dx, dgamma, dbeta }: BackwardInput<Memory>): Promise<BackwardOutput<Memory>> => {
    if (ArrayBuffer.isView(dy)) {
      const host = { dgamma: dgamma ?? vector(), dbeta: dbeta ?? vector() } as Record<'dgamma' | 'dbeta', Float64Array>;
      return { dx: dx ?? (dy.slice() as FloatArray), dgamma: host.dgamma.fill(0), dbeta: host.dbeta.fill(0) };
    }
    const onDevice = () => ({ read: vector, dispose: () => undefined });
    const made = dx ?? elementsOf(await emptyLike(dy, options));
    return { dx: made as DeviceTensor, dgamma: onDevice(), dbeta: onDevice() };
  };
  return { backwardTraining: backward, backwardInference: backward };
}
