// JSON out of a file, which may hold anything: objects become maps, so that no key of theirs means something here.
import { describe, refuse } from '@batchnorm/core-api';

/** The value of a JSON text, in bytes of UTF-8. Errors: `INVALID_FILE`, also for an object that has a key twice. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  const { text, value } = decoded(bytes, what);
  assertKeysOnce(text, what);
  return value;
}

function decoded(bytes: Uint8Array, what: string): { text: string; value: unknown } {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch (cause) {
    refuse('INVALID_FILE', `${what} that is no JSON`, 'JSON in UTF-8', { cause });
  }
}

/** JSON.parse keeps the last of two equal keys, and says nothing. `text` is JSON: a string before a colon is a key. */
function assertKeysOnce(text: string, what: string): void {
  /** The keys so far of the objects that are open, the innermost last. */
  const open: Set<unknown>[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '{') open.push(new Set());
    if (text[at] === '}') open.pop();
    if (text[at] !== '"') continue;
    const start = at;
    for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
    let next = at + 1;
    while (' \n\r\t'.includes(text[next] ?? '.')) next++;
    if (text[next] !== ':') continue;
    const key: unknown = JSON.parse(text.slice(start, at + 1));
    if (open.at(-1)!.has(key)) refuse('INVALID_FILE', `${what} with two keys ${describe(key)}`, 'one');
    open.at(-1)!.add(key);
  }
}

/** The own fields of a JSON object; `__proto__` is a key as any other. Errors: `INVALID_FILE` for another value. */
export function fieldsOf(value: unknown, what: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('INVALID_FILE', `${what}: ${describe(value)}`, 'an object');
  }
  return new Map(Object.entries(value));
}
