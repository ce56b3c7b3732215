// A backend through the layer, as users call it: validation, queue and running statistics included.
import type { BackendEntry } from '@batchnorm/catalogue';
import type { BatchNorm, Tensor } from '@batchnorm/core-api';
import { epsilon, type Problem, type Results } from '../cases/problem.js';
import type { Contender, Task } from './contender.js';
import { assertCapable, describe, timed } from './on-kernels.js';
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
    enter: async (problem) => {
      const [module, { BatchNorm }] = [await load(), await loadLayer()];
      const [backend, creation] = await timed(() => create(module));
      const { extent, dtype, gamma, beta, running } = problem;
      const newLayer = () => {
        const layer = new BatchNorm({ backend, numFeatures: extent.channels, epsilon, dtype });
        layer.gamma.set(gamma);
        layer.beta.set(beta);
        return layer;
      };
      try {
        assertCapable(backend, problem);
        const [layer, inference] = [newLayer(), newLayer()];
        inference.runningMean.set(running.mean);
        inference.runningVariance.set(running.variance);
        return {
          description: describe(backend, { creation, preparation: 0 }),
          tasks: tasksOf(layer, inference, problem),
          dispose: async () => {
            await layer.dispose();
            await inference.dispose();
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

function tasksOf(layer: BatchNorm, inference: BatchNorm, problem: Problem): Task[] {
  const { shape } = problem;
  const outputs = outputsFor(problem);
  const { dgamma, dbeta } = outputs;
  const tensor = (data: Tensor['data']): Tensor => ({ data, shape });
  const [x, dy, y, dx] = [problem.x, problem.dy, outputs.y, outputs.dx].map(tensor) as [Tensor, Tensor, Tensor, Tensor];
  const forward = async () => void (await layer.forward(x, { out: y }));
  const backward = async () => void (await layer.backward(dy, { out: { dx, dgamma, dbeta } }));
  const task = (operation: Task['operation'], run: Task['run'], results: Results): Task => ({
    operation,
    memory: 'host',
    ...(operation === 'backward' && { before: forward }),
    run,
    results: () => results,
  });
  return [
    task('forward-training', forward, { y: y.data }),
    task('forward-inference', async () => void (await inference.forward(x, { training: false, out: y })), {
      y: y.data,
    }),
    task('backward', backward, { dx: dx.data, dgamma, dbeta }),
    task(
      'training-step',
      async () => {
        await forward();
        await backward();
      },
      { y: y.data, dx: dx.data, dgamma, dbeta },
    ),
  ];
}
