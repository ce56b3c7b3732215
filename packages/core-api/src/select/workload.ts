// The operation to time, on the asked shape: from host arrays to host arrays, as a caller sees it.
import type { Backend } from '../backend.js';
import { BatchNorm } from '../batch-norm.js';
import { product } from '../extent.js';
import { allocate, type Tensor } from '../tensor.js';
import type { Question } from './question.js';

/** Inputs x and dy, and buffers for y and dx: the same for every backend. */
export type Batch = Readonly<Record<'x' | 'dy' | 'y' | 'dx', Tensor>>;

export function makeBatch({ shape, dtype }: Question): Batch {
  const zeros = () => ({ data: allocate(dtype, product(shape)), shape });
  return { x: noise(zeros(), 1), dy: noise(zeros(), 2), y: zeros(), dx: zeros() };
}

/** Fills with a Weyl sequence: spread evenly over [−1, 1) without a pattern. */
function noise(tensor: Tensor, seed: number): Tensor {
  const { data } = tensor;
  for (let k = 0; k < data.length; k++) data[k] = (Math.imul(k + seed, 0x9e3779b1) >>> 0) / 2 ** 31 - 1;
  return tensor;
}

/** A layer, and the call on it that is timed. */
export interface Workload {
  readonly layer: BatchNorm;
  readonly call: () => Promise<unknown>;
}

/** Errors: those of the layer. */
export async function makeWorkload(
  backend: Backend,
  batch: Batch,
  { shape, axis, dtype, operation }: Question,
): Promise<Workload> {
  const layer = new BatchNorm({ backend, numFeatures: shape.at(axis)!, axis, dtype });
  const forward = (training: boolean) => layer.forward(batch.x, { training, out: batch.y });
  const backward = () => layer.backward(batch.dy, { out: { dx: batch.dx } });
  const calls = {
    'forward-training': () => forward(true),
    'forward-inference': () => forward(false),
    backward,
    'training-step': () => forward(true).then(backward),
  };
  if (operation === 'backward') await forward(true);
  return { layer, call: calls[operation] };
}
