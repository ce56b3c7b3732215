// A network of jax-js: a linear layer, batch norm, ReLU, another linear layer, and the cross-entropy of its logits. An
// array of jax-js is consumed by the function that gets it; `ref` is one more use.
import { nn, numpy as np } from '@jax-js/jax';

export const features = 64;
export const hiddenUnits = 32;
export const classes = 10;

/** What is before the batch norm: [N, 64] to [N, 32]. */
export const before = (weights: np.Array, x: np.Array): np.Array => np.matmul(x, weights);

/** What is after it: [N, 32] to [N, 10]. */
export const after = (weights: np.Array, y: np.Array): np.Array => np.matmul(nn.relu(y), weights);

/** The mean cross-entropy; labels are [N, 10], 1 at the digit. */
export const loss = (weights: np.Array, y: np.Array, labels: np.Array): np.Array =>
  np.mean(np.sum(nn.logSoftmax(after(weights, y)).mul(labels), -1)).mul(-1);

/** weights − learningRate · gradient */
export const descended = (weights: np.Array, gradient: np.Array, learningRate: number): np.Array =>
  weights.sub(gradient.mul(learningRate));
