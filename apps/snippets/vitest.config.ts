import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/pages.test.ts', 'test/run.test.ts'] });
