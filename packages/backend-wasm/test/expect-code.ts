// An error that users can handle: a code, and what was received and expected.
import { BatchNormError, type ErrorCode } from '@batchnorm/core-api';
import { expect } from 'vitest';

export async function expectCode(code: ErrorCode, attempt: () => unknown, message = /received .+/): Promise<void> {
  const error = await (async () => attempt())().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BatchNormError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
}
