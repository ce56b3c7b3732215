// What things are called on the page: words that visitors know. The exact terms stand beside them, on demand.
import type { Group } from '@batchnorm/conformance';
import type { Operation } from '@batchnorm/select';
import type { Shape } from './shape.js';

interface OperationWords {
  /** In lists. */
  readonly title: string;
  /** After a time: '1.2 ms for …'. */
  readonly one: string;
  /** In terms of the layer. */
  readonly exactly: string;
}

/** In the order of lists. */
export const operationWords: Readonly<Record<Operation, OperationWords>> = {
  'training-step': {
    title: 'Training step',
    one: 'a training step',
    exactly: 'forward with the statistics of the batch, then backward',
  },
  'forward-inference': {
    title: 'Inference',
    one: 'an inference',
    exactly: 'forward with the running statistics',
  },
  'forward-training': {
    title: 'Forward, in training',
    one: 'a forward pass in training',
    exactly: 'forward with the statistics of the batch',
  },
  backward: {
    title: 'Backward, in training',
    one: 'a backward pass',
    exactly: 'the gradients of x, gamma and beta',
  },
};

export const listedOperations = Object.keys(operationWords) as Operation[];

/** '8 images of 28×28, 64 channels' */
export function shapeWords([samples, channels, ...space]: Shape): string {
  if (space.length === 0) return `${counted(samples!, 'row')} of ${counted(channels!, 'feature')}`;
  const kind = ['sequence', 'image', 'volume'][space.length - 1] ?? 'array';
  return `${counted(samples!, kind)} of ${space.join('×')}, ${counted(channels!, 'channel')}`;
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;

export const groupWords: Readonly<Record<Group, string>> = {
  golden: 'Results of NumPy, PyTorch and Keras',
  exact: 'Inputs whose result is known exactly',
  adversarial: 'Inputs that are hard to compute: huge, tiny, far from zero',
  behaviour: 'Sizes, layouts, buffers, orders of calls, errors',
  kernels: 'The steps of the computation, one by one',
  programs: 'Random programs',
  float16: 'Half precision',
};
