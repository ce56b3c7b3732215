import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: ['test/accessibility.test.ts', 'test/commands.test.ts', 'test/history.test.ts', 'test/runners.test.ts'],
});
