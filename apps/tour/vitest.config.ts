import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/tour.test.ts'] });
