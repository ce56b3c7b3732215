// The backends and the layer of another working tree, such as that of another commit: its built packages, this bench.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BackendEntry, backends } from '@batchnorm/catalogue';
import type { Backend, BatchNorm, operationsOf } from '@batchnorm/core-api';
import { type Contender, Unavailable } from './contender.js';
import { layerBackends } from './contenders.js';
import { onKernels } from './on-kernels.js';
import { onLayer } from './on-layer.js';

/** The contracts that on-kernels.ts can call kernels by. By the first, kernels were operations. */
const contractVersions = [1, 2];

/** Errors of `enter`, beside the usual ones: `Unavailable` where the tree has no such package, or another contract. */
export function contendersOf(root: string): Contender[] {
  const inTree = (entry: BackendEntry): BackendEntry => ({
    ...entry,
    load: () => load(root, entry.folder),
    create: async (module) => assertContract(await entry.create(module)),
  });
  return [
    ...Object.entries(backends).map(([name, entry]) => onKernels(name, inTree(entry), () => operationsIn(root))),
    ...layerBackends.flatMap((name) =>
      onLayer(name, inTree(backends[name]!), () => load<{ BatchNorm: typeof BatchNorm }>(root, 'core-api')),
    ),
  ];
}

async function operationsIn(root: string): Promise<typeof operationsOf> {
  const core = await load<{ readonly operationsOf?: typeof operationsOf }>(root, 'core-api');
  return core.operationsOf ?? ((kernels) => kernels as never);
}

async function load<Module>(root: string, folder: string): Promise<Module> {
  const file = join(root, 'packages', folder, 'dist/index.js');
  if (!existsSync(file)) throw new Unavailable(`there is no packages/${folder}`);
  return (await import(pathToFileURL(file).href)) as Module;
}

function assertContract(backend: Backend): Backend {
  if (contractVersions.includes(backend.contractVersion)) return backend;
  throw new Unavailable(`its contract is version ${backend.contractVersion}, not ${contractVersions.join(' or ')}`);
}
