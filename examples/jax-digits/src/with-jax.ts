// Training with batch norm in jax-js's own operations, which differentiates the network as a whole.
import { numpy as np, valueAndGrad } from '@jax-js/jax';
import { after, before, descended, hiddenUnits, loss } from './network.js';
import type { Training } from './training.js';

const epsilon = 1e-5;
const momentum = 0.9;

type Parameters = { first: np.Array; last: np.Array; gamma: np.Array; beta: np.Array };

const normalize = (x: np.Array, mean: np.Array, variance: np.Array, gamma: np.Array, beta: np.Array): np.Array =>
  x
    .sub(mean)
    .div(np.sqrt(variance.add(epsilon)))
    .mul(gamma)
    .add(beta);

/** The loss, and the moments of the batch. */
function lossOf({ first, last, gamma, beta }: Parameters, x: np.Array, labels: np.Array) {
  const h = before(first, x);
  const mean = np.mean(h.ref, 0);
  const variance = np.mean(np.square(h.ref.sub(mean.ref)), 0);
  const y = normalize(h, mean.ref, variance.ref, gamma, beta);
  return [loss(last, y, labels), { mean, variance }] as [np.Array, { mean: np.Array; variance: np.Array }];
}

export function withJax([first, last]: readonly [np.Array, np.Array], learningRate: number): Training {
  const parameters: Parameters = { first, last, gamma: np.ones([hiddenUnits]), beta: np.zeros([hiddenUnits]) };
  const running = { mean: np.zeros([hiddenUnits]), variance: np.ones([hiddenUnits]) };
  const names = ['first', 'last', 'gamma', 'beta'] as const;
  const shared = () => ({
    first: parameters.first.ref,
    last: parameters.last.ref,
    gamma: parameters.gamma.ref,
    beta: parameters.beta.ref,
  });
  return {
    async step(x, labels) {
      const [[value, moments], gradients] = valueAndGrad(lossOf, { hasAux: true })(shared(), x, labels);
      for (const name of names) parameters[name] = descended(parameters[name], gradients[name], learningRate);
      for (const name of ['mean', 'variance'] as const) {
        running[name] = running[name].mul(momentum).add(moments[name].mul(1 - momentum));
      }
      return value.item();
    },
    async logits(x) {
      const { first, last, gamma, beta } = shared();
      const y = normalize(before(first, x), running.mean.ref, running.variance.ref, gamma, beta);
      const logits = after(last, y);
      const { shape } = logits;
      return { data: (await logits.data()) as Float32Array, shape };
    },
    async dispose() {
      for (const array of [...Object.values(parameters), ...Object.values(running)]) array.dispose();
    },
  };
}
