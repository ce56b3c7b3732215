// A backend through the layer, as users call it: validation, queue and running statistics included.
import type { BackendEntry } from '@batchnorm/catalogue';
import type { BatchNorm, FloatArray, Nonlinearity, Tensor } from '@batchnorm/core-api';
import { epsilon, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { addReluCalls, type Halves } from './add-relu.js';
import type { Contender, TimedCall } from './contender.js';
import { hostCalls } from './host-calls.js';
import { assertCapable, describe } from './on-kernels.js';
import { outputsFor } from './outputs.js';

/** `loadLayer`: core-api, of this commit or of another. */
export function onLayer(
  name: string,
  { platforms, load, create }: BackendEntry,
  loadLayer: () => Promise<{ readonly BatchNorm: typeof BatchNorm }>,
): Contender {
  return {
    name,
    kind: 'layer',
    platforms: platforms.filter((platform) => platform === 'node'),
    enter: async (workload) => {
      const [module, { BatchNorm }] = [await load(), await loadLayer()];
      const [backend, creation] = await timed(() => create(module));
      const { extent, dtype, gamma, beta, running } = workload;
      const newLayer = (activation: Nonlinearity = 'none') => {
        const layer = new BatchNorm({ backend, numFeatures: extent.channels, epsilon, dtype, activation });
        layer.gamma.set(gamma);
        layer.beta.set(beta);
        return layer;
      };
      try {
        assertCapable(backend, workload);
        const [layer, inference, withRelu] = [newLayer(), newLayer(), newLayer('relu')];
        inference.runningMean.set(running.mean);
        inference.runningVariance.set(running.variance);
        return {
          description: describe(backend, { creation, preparation: 0 }),
          calls: [
            ...callsOf(layer, inference, workload),
            ...addReluCalls(workload, {
              plain: halvesOf(layer, workload),
              fused: () => halvesOf(withRelu, workload),
            }),
          ],
          dispose: async () => {
            await layer.dispose();
            await inference.dispose();
            await withRelu.dispose();
            await backend.dispose();
          },
        };
      } catch (error) {
        await backend.dispose();
        throw error;
      }
    },
  };
}

function callsOf(layer: BatchNorm, inference: BatchNorm, workload: Workload): TimedCall[] {
  const { shape } = workload;
  const outputs = outputsFor(workload);
  const { dgamma, dbeta } = outputs;
  const tensor = (data: Tensor['data']): Tensor => ({ data, shape });
  const [x, dy, y, dx] = [workload.x, workload.dy, outputs.y, outputs.dx].map(tensor) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const forward = async () => void (await layer.forward(x, { out: y }));
  const backward = async () => void (await layer.backward(dy, { out: { dx, dgamma, dbeta } }));
  const infer = async () => void (await inference.forward(x, { training: false, out: y }));
  return hostCalls({ forward, backward, infer, results: () => ({ y: y.data, dx: dx.data, dgamma, dbeta }) });
}

/** A training step on host arrays. */
function halvesOf(layer: BatchNorm, { x, shape }: Workload): Halves {
  const tensor = (data: FloatArray): Tensor => ({ data, shape });
  const input = tensor(x);
  return {
    forward: async ({ residual, y }) => {
      await layer.forward(input, { out: tensor(y), ...(residual && { residual: tensor(residual) }) });
    },
    backward: async ({ dy, dx, dresidual, dgamma, dbeta }) => {
      const out = { dx: tensor(dx), dgamma, dbeta, ...(dresidual && { dresidual: tensor(dresidual) }) };
      await layer.backward(tensor(dy), { out });
    },
  };
}
