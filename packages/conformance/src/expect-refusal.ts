// Calls that must fail: with which code they did.
import { BatchNormError, type ErrorCode } from '@batchnorm/core-api';
import { type Check, outcome } from './compare.js';

/** The code of a BatchNormError, the text of any other. */
export function codeOf(error: unknown): string {
  return error instanceof BatchNormError ? error.code : String(error);
}

/** A check that `attempt` fails with `code`. */
export async function refuses(what: string, code: ErrorCode, attempt: () => unknown): Promise<Check> {
  try {
    await attempt();
    return outcome(what, false, `: received no error, expected ${code}`);
  } catch (error) {
    return outcome(what, codeOf(error) === code, `: received ${codeOf(error)}, expected ${code}`);
  }
}
