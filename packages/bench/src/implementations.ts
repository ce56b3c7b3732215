// What is compared: each implementation as a forward and a backward on one problem, with its results.
import { createJsBackend } from '@batchnorm/backend-js';
import type { Backend, Kernels, MaybePromise, Saved } from '@batchnorm/core-api';
import { epsilon, type Problem, type Results, resultsFor } from './problem.js';
import { RowByRow } from './row-by-row.js';

export interface Implementation {
  readonly name: string;
  readonly results: Results;
  /** One training forward, into `results`. */
  forward(): MaybePromise<unknown>;
  /** The backward of the latest forward, into `results`. */
  backward(): MaybePromise<unknown>;
}

export const baseline = 'row by row';

/** Every implementation that can run this problem, the baseline first where there is one. */
export async function implementationsOf(problem: Problem): Promise<Implementation[]> {
  const js = await onBackend(await createJsBackend(), problem);
  return problem.extent.inner === 1 ? [rowByRow(problem), js] : [js];
}

function rowByRow(problem: Problem): Implementation {
  const { extent, x, dy, gamma, beta } = problem;
  const results = resultsFor(problem);
  const { y, dx, dgamma, dbeta } = results;
  const layer = new RowByRow(extent.outer, extent.channels);
  return {
    name: baseline,
    results,
    forward: () => layer.forward(x, gamma, beta, epsilon, y),
    backward: () => layer.backward(x, dy, dgamma, dbeta, dx),
  };
}

/** Kernels as the layer calls them, without its queue: a microsecond that is no backend's. */
async function onBackend(backend: Backend, problem: Problem): Promise<Implementation> {
  const { extent, x, dy, gamma, beta } = problem;
  const results = resultsFor(problem);
  const kernels: Kernels = await backend.prepare({ extent, dtype: 'float32' });
  let latest: Saved | undefined;
  const keep = ({ saved }: { saved: Saved }) => {
    latest?.dispose();
    latest = saved;
  };
  return {
    name: backend.name,
    results,
    forward: () => {
      const output = kernels.forwardTraining({ x, gamma, beta, epsilon, y: results.y, requireFinite: true });
      return 'then' in output ? output.then(keep) : keep(output);
    },
    backward: () => {
      if (latest === undefined) throw new Error('backward before forward');
      const { dx, dgamma, dbeta } = results;
      return kernels.backwardTraining({ saved: latest, dy, dx, dgamma, dbeta });
    },
  };
}
