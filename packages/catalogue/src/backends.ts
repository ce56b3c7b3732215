// The backends as kit, bench and tour go through them: those of the registry, wasm once for each count of threads.
// A backend's module is loaded when the backend is made; the bench loads it from the folder of another commit, too.
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { type BackendName, type Family, families, type Platform, type RegistryEntry, registry } from './registry.js';

export type { BackendName, Family, Platform } from './registry.js';

export type BackendEntry = RegistryEntry & {
  /** Its folder in packages/. */
  readonly folder: string;
  /** Loads the module, as this commit has it. */
  readonly load: () => Promise<unknown>;
  /** Makes the backend with a module that was loaded. Errors: `BACKEND_UNAVAILABLE`. */
  readonly create: (module: unknown) => MaybePromise<Backend>;
};

type Factory = (options: never) => MaybePromise<Backend>;

/** Each import is written out, so that a bundler finds it. The module must have the factory of the family. */
const modules: { readonly [F in Family]: () => Promise<Record<(typeof families)[F]['factory'], Factory>> } = {
  js: () => import('@batchnorm/backend-js'),
  wasm: () => import('@batchnorm/backend-wasm'),
  webgpu: () => import('@batchnorm/backend-webgpu'),
  gpujs: () => import('@batchnorm/backend-gpujs'),
};

/** `threads`: so many, and not as many as the backend takes by itself. */
function entryOf(registered: RegistryEntry, threads?: number): BackendEntry {
  const { folder, factory } = families[registered.family];
  const options = threads === undefined ? registered.options : { ...registered.options, threads };
  return {
    ...registered,
    needs: (threads ?? 1) > 1 ? [...registered.needs, 'isolation'] : registered.needs,
    folder,
    load: modules[registered.family],
    create: (module) => (module as Record<string, Factory>)[factory]!(options as never),
  };
}

/** By name, in the order of every list and table. */
export const backends: Readonly<Record<string, BackendEntry>> = Object.fromEntries(
  Object.entries(registry).flatMap(([name, registered]): [string, BackendEntry][] =>
    registered.threads === undefined
      ? [[name, entryOf(registered)]]
      : registered.threads.map((threads) => [`${name}-${threads}`, entryOf(registered, threads)]),
  ),
);

/**
 * Makes a backend by its name in `backends` or in the registry; 'wasm' then chooses its threads by itself. Errors:
 * `BACKEND_UNAVAILABLE`.
 */
export async function createBackend(name: string): Promise<Backend> {
  const { load, create } = backends[name] ?? entryOf(registry[name as BackendName]);
  return create(await load());
}

/** The names that are `name`, or begin with it: 'gpujs' is every 'gpujs-…'. */
export function backendsNamed(name: string): string[] {
  return Object.keys(backends).filter((one) => one === name || one.startsWith(`${name}-`));
}

/** The names of the backends that are for this platform. */
export function backendsOn(platform: Platform): string[] {
  return Object.keys(backends).filter((name) => backends[name]!.platforms.includes(platform));
}
