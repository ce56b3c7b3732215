// The code that a call is refused with.
import { BatchNormError, type ErrorCode } from '@batchnorm/core-api';

export function codeOf(attempt: () => unknown): ErrorCode | undefined {
  try {
    attempt();
  } catch (error) {
    if (error instanceof BatchNormError) return error.code;
    throw error;
  }
  return undefined;
}
