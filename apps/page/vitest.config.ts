import { inNode } from '../../vitest.node.js';

export default inNode({
  fileParallelism: false,
  slow: [
    'test/accessibility.test.ts',
    'test/code.test.ts',
    'test/misfortune.test.ts',
    'test/playground.test.ts',
    'test/responsive.test.ts',
    'test/settings-form.test.ts',
    'test/visit.test.ts',
  ],
});
