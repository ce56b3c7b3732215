// The wrong backends are wrong: a program that a user could write sees on each what it sees on no right backend.
import type { Backend } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { wrongBackends } from './wrong-backends/index.js';
import { difference } from './wrong-backends/programs.js';
import { createRightBackend } from './wrong-backends/right-backend.js';
import type { WrongBackend } from './wrong-backends/wrong-backend.js';

/** What a user sees who runs the program; what it fails with, if it does. */
async function seenBy(backend: Backend, program: WrongBackend['program']): Promise<unknown> {
  try {
    return await program(backend);
  } catch (error) {
    return `failed: ${error}`;
  }
}

describe('a user sees it', () => {
  const named = wrongBackends.map((one) => [one.name, one] as const);

  it.each(named)('%s', async (_, { right = createRightBackend, spoil, program, tolerance = 1e-4 }) => {
    const expected = await program(right());
    expect(difference(await program(right()), expected, tolerance)).toBeUndefined();
    const found = difference(await seenBy(spoil(right()), program), expected, tolerance);
    expect(found).toBeDefined();
    annotate(found!);
  });
});

/** What it was, for whoever reads the log. */
function annotate(found: string): void {
  console.info(`${expect.getState().currentTestName}: ${found}`);
}
