import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/main.test.ts', 'test/link.test.ts'] });
