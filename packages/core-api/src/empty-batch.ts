// A batch without values, in a layer with `emptyBatch: 'pass'`: no kernels run, and gradients of parameters are 0.
import { type Activation, asClassOf, elementsOf, isDeviceTensor } from './activation.js';
import { AllocatedTensor } from './allocated-tensor.js';
import type { BackwardInput, BackwardOutput, DeviceTensor, Memory } from './backend.js';
import type { BackwardOperations } from './forward-record.js';
import type { ResolvedOptions } from './options.js';
import { arrived, begin, type Steps } from './steps.js';
import { allocate, type FloatArray } from './tensor.js';
import { zeros } from './vector.js';

/** An activation of no elements, of the shape and in the memory of x. */
export function* emptyLike(x: Activation, { backend, dtype }: ResolvedOptions): Steps<Activation> {
  const nothing = allocate(dtype, 0);
  const shape = [...x.shape];
  if (isDeviceTensor(x)) return yield* arrived(backend.upload({ data: nothing, shape }));
  return new AllocatedTensor(asClassOf(x.data, nothing), shape, () => undefined);
}

/** The backward of an empty batch: dx and dresidual are empty, dgamma and dbeta are 0. */
export function emptyOperations(options: ResolvedOptions, hasResidual: boolean): BackwardOperations {
  const vector = () => zeros(options.numFeatures);
  const backward = function* (input: BackwardInput<Memory>): Steps<BackwardOutput<Memory>> {
    const { dy, dgamma, dbeta } = input;
    const empty = function* (): Steps<FloatArray | DeviceTensor> {
      return ArrayBuffer.isView(dy) ? dy.slice() : elementsOf(yield* emptyLike(dy, options));
    };
    const dx = input.dx ?? (yield* empty());
    const dresidual = hasResidual ? (input.dresidual ?? (yield* empty())) : undefined;
    if (ArrayBuffer.isView(dy)) {
      const host = { dgamma: dgamma ?? vector(), dbeta: dbeta ?? vector() } as Record<'dgamma' | 'dbeta', Float64Array>;
      const activations = { dx, dresidual } as { dx: FloatArray; dresidual: FloatArray | undefined };
      return { ...activations, dgamma: host.dgamma.fill(0), dbeta: host.dbeta.fill(0) };
    }
    const onDevice = () => ({ read: vector, dispose: () => undefined });
    const activations = { dx, dresidual } as { dx: DeviceTensor; dresidual: DeviceTensor | undefined };
    return { ...activations, dgamma: onDevice(), dbeta: onDevice() };
  };
  return {
    backwardInference: (input) => begin(backward(input)),
    backwardTraining: (input, peers) => {
      const withPeers = function* (): Steps<BackwardOutput<Memory>> {
        if (peers) yield* arrived(peers.addSums({ dgamma: vector(), dbeta: vector() }));
        return yield* backward(input);
      };
      return begin(withPeers());
    },
  };
}
