// A package's tests in Node: `export default inNode()` in its vitest.config.ts.
import { defineProject } from 'vitest/config';
/**
 * No test is about time, so that the limits are there for what hangs alone: on a machine that runs every package's tests at once,
 * Chromium takes many seconds to open a page.
 */
const limit = 180_000;
export function inNode(test = {}) {
    return defineProject({
        test: {
            include: ['test/**/*.test.ts'],
            testTimeout: limit,
            hookTimeout: limit,
            expect: { poll: { timeout: limit } },
            ...test,
        },
    });
}
//# sourceMappingURL=vitest.node.js.map