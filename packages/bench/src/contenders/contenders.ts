// Everything that is timed in this process or in a page: the backends, the layer on the first of them, and the
// straightforward versions. Peers are found where they are installed: see peers.ts.
import { backends } from '@batchnorm/catalogue';
import type { Contender } from './contender.js';
import { onKernels } from './on-kernels.js';
import { onLayer } from './on-layer.js';
import { rowByRow, straightforwardGpuJs } from './straightforward.js';

export const ours: readonly Contender[] = [
  ...Object.entries(backends).map(([name, entry]) => onKernels(name, entry)),
  onLayer('layer-js', backends.js!, () => import('@batchnorm/core-api')),
];

export const straightforward: readonly Contender[] = [
  rowByRow,
  ...Object.entries(backends).flatMap(([name, { family, options, platforms }]) =>
    family === 'gpujs' ? [straightforwardGpuJs(straightforwardNameOf(name), options.mode, platforms)] : [],
  ),
];

/** What the straightforward version of a backend is called. */
export function straightforwardNameOf(contender: string): string {
  return backends[contender]?.family === 'gpujs' ? `straightforward-${contender}` : rowByRow.name;
}
