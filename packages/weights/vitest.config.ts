import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/hostile-files.test.ts'] });
