import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/train.test.ts'] });
