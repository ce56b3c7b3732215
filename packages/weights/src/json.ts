// JSON out of a file, which may hold anything: objects become maps, so that no key of theirs means something here.
import { describe, refuse } from '@batchnorm/core-api';

/** The value of a JSON text, in bytes of UTF-8. Errors: `INVALID_FILE`. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    refuse('INVALID_FILE', `${what} that is no JSON`, 'JSON in UTF-8', { cause });
  }
}

/** The own fields of a JSON object; `__proto__` is a key as any other. Errors: `INVALID_FILE` for another value. */
export function fieldsOf(value: unknown, what: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('INVALID_FILE', `${what}: ${describe(value)}`, 'an object');
  }
  return new Map(Object.entries(value));
}
