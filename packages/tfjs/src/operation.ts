// Batch normalisation as an operation of TensorFlow.js: forward and gradient are those of a layer here.
import { type BatchNorm, type Tensor as HostTensor, refuse } from '@batchnorm/core-api';
import { customGrad, engine, type Tensor, tensor, tensor1d } from '@tensorflow/tfjs-core';

/** The parameters that a layer has, [C] each. They must be what `layer.gamma` and `layer.beta` are. */
export interface Parameters {
  readonly gamma: Tensor | undefined;
  readonly beta: Tensor | undefined;
}

type Save = (tensors: Tensor[]) => void;

/**
 * y of x's shape, float32. TensorFlow.js can differentiate it with respect to x, gamma and beta, once: the gradient of a
 * gradient is `UNSUPPORTED`. Errors: `DTYPE_MISMATCH` for an x that is not float32; those of `layer.sync.forward`.
 */
export function normalize(layer: BatchNorm, x: Tensor, { gamma, beta }: Parameters, training: boolean): Tensor {
  if (x.dtype !== 'float32') refuse('DTYPE_MISMATCH', `a tensor of ${x.dtype}`, 'float32: x.toFloat()');
  const forward = () => layer.sync.forwardPass(elementsOf(x), { training, out: emptyLike(x) });
  if (!engine().isTapeOn()) {
    const pass = forward();
    pass.dispose();
    return tensorOf(pass.y);
  }
  const inputs = [x, gamma, beta].filter((input) => input !== undefined);
  return customGrad((...given) => {
    const save = given.pop() as unknown as Save;
    save(inputs);
    const pass = forward();
    return {
      value: tensorOf(pass.y),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const { dx, dgamma, dbeta } = pass.backward(elementsOf(dy), { out: { dx: emptyLike(x) } });
        // While another gradient is being recorded around this one, it may ask again; then the garbage collector frees.
        if (!engine().isTapeOn()) pass.dispose();
        const gradients = [
          () => tensorOf(dx),
          ...(gamma ? [() => tensor1d(Float32Array.from(dgamma))] : []),
          ...(beta ? [() => tensor1d(Float32Array.from(dbeta))] : []),
        ];
        return gradients.map((gradient) => onceDifferentiable(gradient, [dy, ...saved]));
      },
    };
  })(...inputs);
}

/** A tensor made of others outside of what TensorFlow.js can see: its gradient is refused instead of left out. */
function onceDifferentiable(make: () => Tensor, from: Tensor[]): Tensor {
  return customGrad(() => ({
    value: make(),
    gradFunc: () => refuse('UNSUPPORTED', 'the gradient of a gradient of BatchNorm', 'gradients of first order'),
  }))(...from);
}

/** On the CPU backend of TensorFlow.js the tensor's own array, which nobody writes to. */
function elementsOf(x: Tensor): HostTensor {
  return { data: x.dataSync<'float32'>(), shape: x.shape };
}

/** Memory that TensorFlow.js may keep. */
function emptyLike({ size, shape }: Tensor): HostTensor {
  return { data: new Float32Array(size), shape };
}

function tensorOf({ data, shape }: HostTensor): Tensor {
  return tensor(data as Float32Array, [...shape]);
}
