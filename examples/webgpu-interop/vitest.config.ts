import { inNode } from '../../vitest.node.js';

export default inNode({ slow: ['test/webgpu-interop.test.ts'] });
