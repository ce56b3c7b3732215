// The function of somebody's module that makes their backend.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { UsageError } from './kit-command.js';

export type Factory = () => MaybePromise<Backend>;

const expected = "a function as its default export, as create, or as its only export that begins with 'create'";

/**
 * Loads the module at `path`, and takes its export `name`; by default the one export that can be meant. Errors:
 * `UsageError`, with what the module has.
 */
export async function loadFactory(path: string, name?: string): Promise<Factory> {
  const exports = await load(path);
  const names = name === undefined ? candidates(exports) : [name];
  const factory = exports[names[0]!];
  if (names.length === 1 && typeof factory === 'function') return factory as Factory;
  const received = Object.keys(exports).join(', ') || 'nothing';
  throw new UsageError(
    name === undefined
      ? `${path} exports ${received}; expected ${expected}, or --export`
      : `${path} exports ${received}; expected a function called ${name}`,
  );
}

async function load(path: string): Promise<Readonly<Record<string, unknown>>> {
  if (!existsSync(path))
    throw new UsageError(`there is no ${path}; expected a module that exports a backend's factory`);
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    throw new UsageError(`can't load ${path}: ${(error as Error)?.stack ?? error}`, { cause: error });
  }
}

function candidates(exports: Readonly<Record<string, unknown>>): string[] {
  const exact = ['default', 'create'].find((name) => typeof exports[name] === 'function');
  if (exact !== undefined) return [exact];
  return Object.keys(exports).filter((name) => name.startsWith('create') && typeof exports[name] === 'function');
}
