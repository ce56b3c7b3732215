import { inNode } from '../../vitest.node.js';

export default inNode({ include: ['test/vitest.test.js'], slow: ['test/vitest.test.js'] });
