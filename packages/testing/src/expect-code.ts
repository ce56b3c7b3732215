// That an attempt is refused as the contract says.
import { BatchNormError, type ErrorCode } from '@batchnorm/core-api';
import { expect } from 'vitest';

/** That `attempt` fails with `code`, and a message that says what was received and what was expected. */
export async function expectCode(code: ErrorCode, attempt: () => unknown, message: RegExp = /received/): Promise<void> {
  const error = await Promise.resolve()
    .then(attempt)
    .then(
      (value) => expect.fail(`received no error but ${String(value)}, expected ${code}`),
      (reason: unknown) => reason,
    );
  expect(error).toBeInstanceOf(BatchNormError);
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(/received .+, expected .+/s);
  expect((error as Error).message).toMatch(message);
}
