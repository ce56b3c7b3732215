import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/accuracy.test.ts',
    'test/backend.test.ts',
    'test/conformance.test.ts',
    'test/mask-residual-relu.test.ts',
  ],
});
