// The function of somebody's module that makes their backend.
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { UsageError } from './kit-command.js';

export type Factory = () => MaybePromise<Backend>;

const expected = "a function as its default export, as create, or as its only export that begins with 'create'";

interface LoadOptions {
  /** The name of the export to take. Default: the one that can be meant. */
  readonly export?: string | undefined;
  /** How long loading may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** Loads the module at `path`, and takes one of its exports. Errors: `UsageError`, with what the module has. */
export async function loadFactory(path: string, { export: name, timeoutMs }: LoadOptions): Promise<Factory> {
  const exports = await load(path, timeoutMs);
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

async function load(path: string, timeoutMs: number): Promise<Readonly<Record<string, unknown>>> {
  if (!existsSync(path))
    throw new UsageError(`there is no ${path}; expected a module that exports a backend's factory`);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not load within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return await Promise.race([import(pathToFileURL(path).href), tooLong]);
  } catch (error) {
    throw new UsageError(`can't load ${path}: ${(error as Error)?.stack ?? error}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function candidates(exports: Readonly<Record<string, unknown>>): string[] {
  const exact = ['default', 'create'].find((name) => typeof exports[name] === 'function');
  if (exact !== undefined) return [exact];
  return Object.keys(exports).filter((name) => name.startsWith('create') && typeof exports[name] === 'function');
}
