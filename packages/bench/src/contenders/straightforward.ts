// What a programmer would write first: in plain JavaScript and with gpu.js, on rows of channels in float32.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import type { Platform } from '../cases/case.js';
import { epsilon, type Results, type Workload } from '../cases/workload.js';
import { timed } from '../timing/clock.js';
import { type Contender, type Entrant, Unavailable } from './contender.js';
import { hostCalls } from './host-calls.js';
import { outputsFor } from './outputs.js';
import { RowByRow } from './row-by-row.js';

/** The loops of row-by-row.ts. */
export const rowByRow: Contender = {
  name: 'row-by-row',
  kind: 'straightforward',
  platforms: ['node', 'chromium'],
  enter: async (workload) => {
    const { x, dy, gamma, beta, extent } = rowsOf(workload);
    const outputs = outputsFor(workload);
    const [y, dx] = [outputs.y, outputs.dx] as [Float32Array, Float32Array];
    const { dgamma, dbeta } = outputs;
    const loops = new RowByRow(extent.outer, extent.channels);
    const forward = () => loops.forward(x, gamma, beta, epsilon, y);
    const backward = () => loops.backward(x, dy, dgamma, dbeta, dx);
    return {
      description: { engine: 'JavaScript', threads: 1, accumulation: undefined, creation: 0, preparation: 0 },
      calls: hostCalls({ forward, backward, results: () => ({ y, dx, dgamma, dbeta }) }),
      dispose: () => {},
    };
  },
};

/** The kernels of straightforward-gpujs.ts in one mode: host arrays in and out. */
export function straightforwardGpuJs(name: string, mode: GpuJsMode, platforms: readonly Platform[]): Contender {
  return {
    name,
    kind: 'straightforward',
    platforms,
    enter: async (workload): Promise<Entrant> => {
      const { x, dy, extent } = rowsOf(workload);
      const [gamma, beta] = [Float32Array.from(workload.gamma), Float32Array.from(workload.beta)];
      const { StraightforwardGpuJs } = await import('./straightforward-gpujs.js');
      const make = () => new StraightforwardGpuJs(mode, extent.outer, extent.channels, epsilon);
      const [kernels, creation] = await timed(make).catch((error: Error) => {
        throw new Unavailable(error.message);
      });
      let results: Results = {};
      const forward = async () => {
        results = { ...results, y: await kernels.forward(x, gamma, beta) };
      };
      const backward = async () => {
        results = { ...results, ...(await kernels.backward(x, dy, gamma)) };
      };
      return {
        description: { engine: `gpu.js ${mode}`, threads: 1, accumulation: undefined, creation, preparation: 0 },
        calls: hostCalls({ forward, backward, results: () => results }),
        dispose: () => kernels.dispose(),
      };
    },
  };
}

/** Errors: `Unavailable` for what is not rows of channels in float32. */
function rowsOf({ extent, dtype, x, dy, gamma, beta }: Workload) {
  if (extent.inner !== 1 || dtype !== 'float32')
    throw new Unavailable('the straightforward version is for [N, C] in float32');
  return { extent, x: x as Float32Array, dy: dy as Float32Array, gamma, beta };
}
