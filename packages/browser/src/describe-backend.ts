// Tests of a backend that not every machine can run: a visible skip with the reason, or a failure where it is required.
import { describe, inject, it } from 'vitest';

/** All that is asked of a backend to see whether it runs here. */
interface Disposable {
  dispose(): unknown;
}

const inBrowser = 'document' in globalThis;

/** Whether the environment variable REQUIRE_BACKENDS, a comma-separated list, has `name`. */
export function isRequired(name: string): boolean {
  const list = inject('requiredBackends') ?? (inBrowser ? '' : process.env.REQUIRE_BACKENDS);
  return (list ?? '').split(',').includes(name);
}

/** `name` in Node, `name@chromium` in Chromium: what tables and REQUIRE_BACKENDS call a backend on this platform. */
export function nameHere(name: string): string {
  return inBrowser ? `${name}@chromium` : name;
}

/**
 * Describes the tests of the backend that `factory` makes, when it can be made here. If it rejects with
 * `BACKEND_UNAVAILABLE`, there is one test: skipped for that reason, or failing where REQUIRE_BACKENDS has the backend.
 */
export async function describeBackend(
  name: string,
  factory: () => Disposable | PromiseLike<Disposable>,
  body: (nameHere: string) => void,
): Promise<void> {
  const here = nameHere(name);
  const reason = await reasonAgainst(factory);
  if (reason === undefined) describe(here, () => body(here));
  else describeMissing(here, reason);
}

/** The one test of a backend that does not run here. */
export function describeMissing(name: string, reason: string): void {
  it(`${name} runs here`, ({ skip }) => {
    if (isRequired(name)) throw new Error(`REQUIRE_BACKENDS has ${name}, but ${reason}`);
    console.warn(`${name} skipped: ${reason}`); // vitest's default reporter keeps the reason to itself
    skip(reason);
  });
}

async function reasonAgainst(factory: () => Disposable | PromiseLike<Disposable>): Promise<string | undefined> {
  try {
    await (await factory()).dispose();
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'BACKEND_UNAVAILABLE') return error.message;
    throw error;
  }
}
