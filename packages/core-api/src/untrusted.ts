// Objects of callers may have getters, or be proxies, that throw when they are read: that is refused with a code.
import { BatchNormError, type ErrorCode, refuse } from './errors.js';

/** What `read` returns. Errors: those with a code as they are; `code` for anything else that `read` throws. */
export function readUntrusted<T>(code: ErrorCode, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof BatchNormError) throw cause;
    refuse(code, `${what} that throw when they are read`, 'plain values', { cause });
  }
}
