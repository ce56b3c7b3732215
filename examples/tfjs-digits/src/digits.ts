// The data: the digits of train-digits, split as there, as tensors of TensorFlow.js.
import { loadDigits, type Digits as Rows, split } from '@batchnorm/example-train-digits/digits';
import { oneHot, type Tensor, type Tensor2D, tensor1d, tensor4d } from '@tensorflow/tfjs-core';

export interface Digits {
  /** [N, 8, 8, 1], from 0 (paper) to 1 (ink). */
  readonly images: Tensor;
  /** [N, 10]: 1 at the digit. */
  readonly labels: Tensor2D;
}

export function digits(): { training: Digits; test: Digits } {
  const { training, test } = split(loadDigits(), 360, 2015);
  return { training: asTensors(training), test: asTensors(test) };
}

function asTensors({ images, labels }: Rows): Digits {
  const values = Float32Array.from(images.data);
  return {
    images: tensor4d(values, [labels.length, 8, 8, 1]),
    labels: oneHot(tensor1d(labels, 'int32'), 10) as Tensor2D,
  };
}
