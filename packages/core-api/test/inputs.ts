// Small tensors and the errors that bad ones get.
import { expect } from 'vitest';
import { BatchNormError, type ErrorCode, type FloatArray, type Tensor } from '../src/index.js';

export function tensor(shape: readonly number[], data: readonly number[]): Tensor {
  return { shape, data: Float32Array.from(data) };
}

/** Distinct values without a pattern that a wrong stride could preserve. */
export function filled(
  shape: readonly number[],
  seed = 1,
  make: (length: number) => FloatArray = (n) => new Float32Array(n),
): Tensor {
  const data = make(shape.reduce((a, b) => a * b, 1));
  for (let k = 0; k < data.length; k++) data[k] = Math.sin(12.9898 * (k + 1) + 78.233 * seed) * 2 + seed / 8;
  return { shape, data };
}

/** That `attempt` fails with `code`, and a message that names what was received and what was expected. */
export async function expectError(
  code: ErrorCode,
  attempt: () => unknown,
  message: RegExp = /received/,
): Promise<void> {
  const error = await Promise.resolve()
    .then(attempt)
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  expect(error).toBeInstanceOf(BatchNormError);
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(/received .+, expected .+/);
  expect((error as Error).message).toMatch(message);
}
