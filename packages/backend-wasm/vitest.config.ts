import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/allocated.test.ts',
    'test/memory.test.ts',
    'test/backend.test.ts',
    'test/conformance.test.ts',
    'test/fuzz.test.ts',
    'test/masks-and-residuals.test.ts',
    'test/threads.test.ts',
  ],
});
