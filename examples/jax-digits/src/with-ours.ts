// Training with our batch norm: jax-js differentiates what is before it and what is after it, and the layer lies between.
import { type Backend, BatchNorm } from '@batchnorm/core-api';
import { numpy as np, valueAndGrad, vjp } from '@jax-js/jax';
import { after, before, descended, hiddenUnits, loss } from './network.js';
import type { Training } from './training.js';

export function withOurs(
  backend: Backend,
  [first, last]: readonly [np.Array, np.Array],
  learningRate: number,
): Training {
  const layer = new BatchNorm({ backend, numFeatures: hiddenUnits });
  const tensor = async (array: np.Array) => {
    const { shape } = array;
    return { data: (await array.data()) as Float32Array, shape };
  };
  const arrayOf = ({ data, shape }: { readonly data: unknown; readonly shape: readonly number[] }) =>
    np.array(data as Float32Array<ArrayBuffer>).reshape([...shape]);

  return {
    async step(x, labels) {
      const [h, gradientOfFirst] = vjp(before, [first.ref, x]);
      const y = await layer.forward(await tensor(h));
      const [value, [dlast, dy]] = valueAndGrad(loss, { argnums: [0, 1] })(last.ref, arrayOf(y), labels);
      const { dx, dgamma, dbeta } = await layer.backward(await tensor(dy));
      const [dfirst, dinput] = gradientOfFirst(arrayOf(dx));
      dinput.dispose();
      gradientOfFirst.dispose();
      first = descended(first, dfirst, learningRate);
      last = descended(last, dlast, learningRate);
      layer.gamma = layer.gamma.map((gamma, c) => gamma - learningRate * dgamma[c]!);
      layer.beta = layer.beta.map((beta, c) => beta - learningRate * dbeta[c]!);
      return value.item();
    },
    async logits(x) {
      const y = await layer.forward(await tensor(before(first.ref, x)), { training: false });
      return tensor(after(last.ref, arrayOf(y)));
    },
    async dispose() {
      first.dispose();
      last.dispose();
      await layer.dispose();
    },
  };
}
