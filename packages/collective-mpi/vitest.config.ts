import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/collective.test.ts', 'test/sync-batch-norm.test.ts', 'test/faults.test.ts'] });
