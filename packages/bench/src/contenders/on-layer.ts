// A backend through the layer, as users call it: validation, queue and running statistics included.
import type { BackendEntry } from '@batchnorm/catalogue';
import type { BatchNorm, FloatArray, Gradients, Nonlinearity, Tensor } from '@batchnorm/core-api';
import { epsilon, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { addReluCalls, type Halves } from './add-relu.js';
import { type Contender, type TimedCall, Unavailable } from './contender.js';
import { hostCalls } from './host-calls.js';
import { assertCapable, describe } from './on-kernels.js';
import { outputsFor } from './outputs.js';

/**
 * How a program calls a layer. `plain`: `y = await layer.forward(x)`, each result a new array, which is what one writes
 * first. `out`: awaited, too, into buffers that are used again. `sync`: into these without a promise.
 */
export type Way = 'plain' | 'out' | 'sync';

/** Those that are timed: where nobody has to wait for a backend. */
const ways: readonly Way[] = ['plain', 'out', 'sync'];

/** A contender for each way of calling a layer on backend `name`. `loadLayer`: core-api, of this commit or of another. */
export function onLayer(
  name: string,
  entry: BackendEntry,
  loadLayer: () => Promise<{ readonly BatchNorm: typeof BatchNorm }>,
): Contender[] {
  return ways.map((way) => calledIn(way, `layer-${name}${way === 'out' ? '' : `-${way}`}`, entry, loadLayer));
}

function calledIn(
  way: Way,
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
        if (way === 'sync' && !('sync' in BatchNorm.prototype)) throw new Unavailable('its layers have no `sync`');
        const [layer, inference, withRelu] = [newLayer(), newLayer(), newLayer('relu')];
        inference.runningMean.set(running.mean);
        inference.runningVariance.set(running.variance);
        return {
          description: describe(backend, { creation, preparation: 0 }),
          calls: [
            ...callsIn[way](layer, inference, workload),
            ...(way === 'out'
              ? addReluCalls(workload, {
                  plain: halvesOf(layer, workload),
                  fused: () => halvesOf(withRelu, workload),
                })
              : []),
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

const callsIn: Readonly<
  Record<Way, (layer: BatchNorm, inference: BatchNorm, workload: Workload) => readonly TimedCall[]>
> = {
  plain(layer, inference, { shape, ...workload }) {
    const [x, dy]: Tensor[] = [workload.x, workload.dy].map((data) => ({ data, shape }));
    let y: Tensor | undefined;
    let gradients: Gradients | undefined;
    return hostCalls({
      forward: async () => {
        y = await layer.forward(x!);
      },
      backward: async () => {
        gradients = await layer.backward(dy!);
      },
      infer: async () => {
        y = await inference.forward(x!, { training: false });
      },
      results: () => ({
        ...(y && { y: y.data }),
        ...(gradients && { dx: gradients.dx.data, dgamma: gradients.dgamma, dbeta: gradients.dbeta }),
      }),
    });
  },
  out(layer, inference, workload) {
    const { x, dy, y, dx, dgamma, dbeta } = tensorsOf(workload);
    return hostCalls({
      forward: async () => void (await layer.forward(x, { out: y })),
      backward: async () => void (await layer.backward(dy, { out: { dx, dgamma, dbeta } })),
      infer: async () => void (await inference.forward(x, { training: false, out: y })),
      results: () => ({ y: y.data, dx: dx.data, dgamma, dbeta }),
    });
  },
  sync(layer, inference, workload) {
    const { x, dy, y, dx, dgamma, dbeta } = tensorsOf(workload);
    return hostCalls({
      forward: () => void layer.sync.forward(x, { out: y }),
      backward: () => void layer.sync.backward(dy, { out: { dx, dgamma, dbeta } }),
      infer: () => void inference.sync.forward(x, { training: false, out: y }),
      results: () => ({ y: y.data, dx: dx.data, dgamma, dbeta }),
    });
  },
};

/** Inputs of the workload, and buffers for all results. */
function tensorsOf({ shape, ...workload }: Workload) {
  const { y, dx, ...vectors } = outputsFor({ shape, ...workload });
  const tensor = (data: FloatArray): Tensor => ({ data, shape });
  return { x: tensor(workload.x), dy: tensor(workload.dy), y: tensor(y), dx: tensor(dx), ...vectors };
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
