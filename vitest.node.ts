// A package's tests in Node: `export default inNode()` in its vitest.config.ts.
import { fileURLToPath } from 'node:url';
import { defineProject, type UserWorkspaceConfig } from 'vitest/config';

declare module 'vitest' {
  interface ProvidedContext {
    /** Test files whose tests have a limit of their own, in milliseconds. */
    slow: { readonly files: readonly string[]; readonly limit: number };
  }
}

/**
 * No test is about time: limits end what hangs, within 30 s unless its file says that it is slow. On a machine that runs
 * other packages' tests, too, unit tests take 3 s at most.
 */
const unitLimit = 10_000;

/**
 * For files that run the kit, start processes or open pages in Chromium: on such a machine a test of theirs takes up to
 * 25 s.
 */
const slowLimit = 180_000;

type Test = NonNullable<UserWorkspaceConfig['test']>;

/** `slow`: files, by their paths in the package, whose tests may take three minutes each, not 10 s. */
export function inNode({ slow = [], ...test }: Test & { readonly slow?: readonly string[] } = {}): UserWorkspaceConfig {
  return defineProject({
    test: {
      include: ['test/**/*.test.ts'],
      testTimeout: unitLimit,
      hookTimeout: unitLimit,
      // Whatever the limit of the test is, it ends the waiting first.
      expect: { poll: { timeout: slowLimit } },
      setupFiles: [fileURLToPath(new URL('vitest.slow.ts', import.meta.url))],
      provide: { slow: { files: slow, limit: slowLimit } },
      ...test,
    },
  });
}
