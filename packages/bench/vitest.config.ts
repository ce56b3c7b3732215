import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/commands.test.ts', 'test/history.test.ts', 'test/runners.test.ts'] });
