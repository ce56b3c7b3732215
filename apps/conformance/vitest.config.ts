import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/bad-input.test.ts',
    'test/browser.test.ts',
    'test/cli.test.ts',
    'test/report.test.ts',
    'test/worst.test.ts',
  ],
});
