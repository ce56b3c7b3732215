// A backend through the layer, as users call it: validation, queue and running statistics included.
import type { BackendEntry } from '@batchnorm/catalogue';
import type { AllocatedTensor, BatchNorm, FloatArray, Gradients, Nonlinearity, Tensor } from '@batchnorm/core-api';
import { epsilon, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { addReluCalls, type Halves } from './add-relu.js';
import { type Contender, type TimedCall, Unavailable } from './contender.js';
import { hostCalls } from './host-calls.js';
import { type HostTensors, hostTensors } from './host-tensors.js';
import { assertCapable, describe } from './on-kernels.js';

/**
 * How a program calls a layer. `plain`: `y = await layer.forward(x)`, each result a new array, which is what one writes
 * first. `dispose`: the same, and y, dx are disposed when nobody needs them. `out`: awaited, too, into buffers that are
 * used again. `sync`: into these without a promise.
 */
export type Way = 'plain' | 'dispose' | 'out' | 'sync';

/** Those that are timed: where nobody has to wait for a backend. */
const ways: readonly Way[] = ['plain', 'dispose', 'out', 'sync'];

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
    platforms,
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
        for (const [needing, name] of [
          ['sync', 'sync'],
          ['dispose', 'empty'],
        ] as const) {
          if (way === needing && !(name in BatchNorm.prototype))
            throw new Unavailable(`its layers have no \`${name}\``);
        }
        const [layer, inference, withRelu] = [newLayer(), newLayer(), newLayer('relu')];
        inference.runningMean.set(running.mean);
        inference.runningVariance.set(running.variance);
        return {
          description: describe(backend, { creation, preparation: 0 }),
          calls: [
            ...hostTensors(backend, workload).flatMap((tensors) => callsIn[way](layer, inference, tensors)),
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
  Record<Way, (layer: BatchNorm, inference: BatchNorm, tensors: HostTensors) => readonly TimedCall[]>
> = {
  plain: (layer, inference, tensors) => withNewResults(layer, inference, tensors, () => undefined),
  dispose: (layer, inference, tensors) => withNewResults(layer, inference, tensors, (result) => result?.dispose()),
  out(layer, inference, { memory, x, dy, y, dx, dgamma, dbeta }) {
    return hostCalls({
      memory,
      forward: async () => void (await layer.forward(x, { out: y })),
      backward: async () => void (await layer.backward(dy, { out: { dx, dgamma, dbeta } })),
      infer: async () => void (await inference.forward(x, { training: false, out: y })),
      results: () => ({ y: y.data, dx: dx.data, dgamma, dbeta }),
    });
  },
  sync(layer, inference, { memory, x, dy, y, dx, dgamma, dbeta }) {
    return hostCalls({
      memory,
      forward: () => void layer.sync.forward(x, { out: y }),
      backward: () => void layer.sync.backward(dy, { out: { dx, dgamma, dbeta } }),
      infer: () => void inference.sync.forward(x, { training: false, out: y }),
      results: () => ({ y: y.data, dx: dx.data, dgamma, dbeta }),
    });
  },
};

/** Every result is new; `letGo` gets the one before, which nobody needs any more. */
function withNewResults(
  layer: BatchNorm,
  inference: BatchNorm,
  { memory, x, dy }: HostTensors,
  letGo: (result: AllocatedTensor | undefined) => void,
): TimedCall[] {
  let y: AllocatedTensor | undefined;
  let gradients: Gradients<AllocatedTensor> | undefined;
  return hostCalls({
    memory,
    forward: async () => {
      letGo(y);
      y = await layer.forward(x);
    },
    backward: async () => {
      letGo(gradients?.dx);
      gradients = await layer.backward(dy);
    },
    infer: async () => {
      letGo(y);
      y = await inference.forward(x, { training: false });
    },
    results: () => ({
      ...(y && { y: y.data }),
      ...(gradients && { dx: gradients.dx.data, dgamma: gradients.dgamma, dbeta: gradients.dbeta }),
    }),
  });
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
