// What callers hand over may answer with an error of its own when it is looked at: a getter, a proxy.
import { BatchNormError, type ErrorCode } from './errors.js';

/** What `look` gives. Errors: `code` in the place of whatever it throws that has none. */
export function looking<T>(code: ErrorCode, what: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    if (cause instanceof BatchNormError) throw cause;
    throw new BatchNormError(code, `received ${what} that throw when they are read, expected plain values`, { cause });
  }
}
