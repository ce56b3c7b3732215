// What is compared: a training step (forward and backward) of the layer on device tensors, and the straightforward version.
import { createGpuJsBackend, type GpuJsMode } from '@batchnorm/backend-gpujs';
import { BatchNorm, type Execution, type FloatArray } from '@batchnorm/core-api';
import { epsilon, type Problem, type Results } from '../problem.js';
import { Straightforward } from './straightforward.js';

/** The straightforward version, and the layer whose y and dx stay on the device, or are read. */
export const variants = ['straightforward', 'without readback', 'with readback'] as const;
export type Variant = (typeof variants)[number];

/** What a step brings to the host. */
export type HostResults = Partial<Record<keyof Results, FloatArray>>;

export interface TrainingSteps {
  readonly execution: Execution;
  /** Each is over when its promise resolves. */
  readonly run: Readonly<Record<Variant, () => Promise<HostResults>>>;
  dispose(): Promise<void>;
}

/** Errors: `BACKEND_UNAVAILABLE` where the mode does not run. */
export async function trainingSteps(mode: GpuJsMode, problem: Problem): Promise<TrainingSteps> {
  const { extent, shape, x, dy, gamma, beta } = problem;
  const backend = await createGpuJsBackend({ mode });
  const plain = new Straightforward(mode, extent.outer, extent.channels, epsilon);
  const parameters = { gamma: Float32Array.from(gamma), beta: Float32Array.from(beta) };

  const layer = new BatchNorm({ backend, numFeatures: extent.channels, epsilon });
  layer.gamma.set(gamma);
  layer.beta.set(beta);
  const uploaded = {
    x: await backend.upload({ data: x, shape }),
    dy: await backend.upload({ data: dy, shape }),
  };

  /**
   * Brings dgamma and dbeta to the host, also without readback: an optimiser wants them, and a device works in order, so that
   * what it was asked for before is done. (Without any read the clock would stop when the work is queued.)
   */
  const ours = async (readback: boolean): Promise<HostResults> => {
    const y = await layer.forward(uploaded.x);
    const { dx, dgamma, dbeta } = await layer.backward(uploaded.dy);
    const activations = readback ? { y: await y.read(), dx: await dx.read() } : {};
    const vectors = { dgamma: await dgamma.read(), dbeta: await dbeta.read() };
    for (const result of [y, dx, dgamma, dbeta]) result.dispose();
    return { ...activations, ...vectors };
  };

  return {
    execution: backend.execution,
    run: {
      straightforward: async () => {
        const y = await plain.forward(x, parameters.gamma, parameters.beta);
        return { y, ...(await plain.backward(x, dy, parameters.gamma)) };
      },
      'without readback': () => ours(false),
      'with readback': () => ours(true),
    },
    dispose: async () => {
      await layer.dispose();
      await backend.dispose();
      await plain.dispose();
    },
  };
}
