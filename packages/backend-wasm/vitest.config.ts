import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/backend.test.ts',
    'test/conformance.test.ts',
    'test/fuzz.test.ts',
    'test/masks-and-residuals.test.ts',
    'test/threads.test.ts',
  ],
});
