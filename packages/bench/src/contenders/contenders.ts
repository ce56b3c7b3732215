// Everything that is timed in this process or in a page: the backends, layers on those that nobody has to wait for, and
// the straightforward versions. Peers are found where they are installed: see peers.
import { backends } from '@batchnorm/catalogue';
import type { Contender } from './contender.js';
import { onKernels } from './on-kernels.js';
import { onLayer } from './on-layer.js';
import { rowByRow, straightforwardGpuJs } from './straightforward.js';

/** The backends whose layers are timed, too, as programs call them. */
export const layerBackends = ['js', 'wasm-1', 'wasm-2'] as const;

export const ours: readonly Contender[] = [
  ...Object.entries(backends).map(([name, entry]) => onKernels(name, entry)),
  ...layerBackends.flatMap((name) => onLayer(name, backends[name]!, () => import('@batchnorm/core-api'))),
];

/** Those of `ours` that are timed unless others are asked for: what a reader writes first among them. */
export const usual: readonly string[] = [
  ...Object.keys(backends),
  ...['layer-js', 'layer-js-plain', 'layer-wasm-1-plain'],
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
