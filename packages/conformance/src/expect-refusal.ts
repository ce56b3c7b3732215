// Calls that must fail: with which code they did.
import { BatchNormError, type ErrorCode } from '@batchnorm/core-api';
import { type Check, outcome } from './compare.js';
import type { Refusal } from './conformance-case.js';

/** The code of a BatchNormError, the text of any other. */
export function codeOf(error: unknown): string {
  return error instanceof BatchNormError ? error.code : String(error);
}

/** The code of a BatchNormError, or of the one that an error says is its cause; null where there is none. */
export function errorCode(error: unknown): ErrorCode | null {
  if (error instanceof BatchNormError) return error.code;
  return error instanceof Error && error.cause !== undefined ? errorCode(error.cause) : null;
}

/** A check that `attempt` fails with `code`. */
export async function refuses(what: string, code: ErrorCode, attempt: () => unknown): Promise<Check> {
  try {
    await attempt();
    return outcome(what, false, `: received no error, expected ${code}`);
  } catch (error) {
    const refused = outcome(what, codeOf(error) === code, `: received ${codeOf(error)}, expected ${code}`);
    return { ...refused, code: errorCode(error) };
  }
}

/** The refusal of `attempt` with `code`. Errors: one with the reason when it is not refused so; its cause is what came instead. */
export async function refusal(what: string, code: ErrorCode, attempt: () => unknown): Promise<Refusal> {
  try {
    await attempt();
  } catch (error) {
    if (codeOf(error) === code) return { refused: code };
    throw new Error(`${what}: received ${codeOf(error)}, expected ${code}`, { cause: error });
  }
  throw new Error(`${what}: received no error, expected ${code}`);
}
