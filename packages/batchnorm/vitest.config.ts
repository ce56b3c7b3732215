import { inNode } from '../../vitest.node.js';

/** They start runtimes and Chromium. */
export default inNode({ slow: ['test/platforms/platforms.test.ts'] });
