// How large the WebAssembly of a backend is, and how long instantiating it takes: seen from outside while the backend
// is made.
import type { MaybePromise } from '@batchnorm/core-api';
import { timed } from '../timing/clock.js';

export interface Instantiation {
  /** The size of each module. */
  readonly moduleBytes: readonly number[];
  /** Seconds from bytes to instances, compiling included. */
  readonly seconds: number;
}

/** What `make` gives, and what it instantiated with `WebAssembly.instantiate`: undefined when nothing. */
export async function watchInstantiation<T>(make: () => MaybePromise<T>): Promise<[T, Instantiation | undefined]> {
  const { instantiate } = WebAssembly;
  const moduleBytes: number[] = [];
  let seconds = 0;
  const watched = async (source: BufferSource | WebAssembly.Module, imports?: WebAssembly.Imports) => {
    if ('byteLength' in source) moduleBytes.push(source.byteLength);
    const [result, took] = await timed<unknown>(() => instantiate(source as BufferSource, imports));
    seconds += took;
    return result;
  };
  WebAssembly.instantiate = watched as typeof instantiate;
  try {
    const made = await make();
    return [made, moduleBytes.length > 0 ? { moduleBytes, seconds } : undefined];
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}
