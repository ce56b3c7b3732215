import { inNode } from '../../vitest.node.js';

export default inNode({ fileParallelism: false, slow: ['test/links.test.ts', 'test/visit.test.ts'] });
