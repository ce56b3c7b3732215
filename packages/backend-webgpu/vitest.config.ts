import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/accuracy.test.ts',
    'test/callers-gpu.test.ts',
    'test/conformance.test.ts',
    'test/deno/deno.test.ts',
    'test/device-trouble.test.ts',
    'test/encode-orders.test.ts',
    'test/encode.test.ts',
    'test/float16.test.ts',
    'test/node/measure-gpu.test.ts',
    'test/page/strict-csp.test.ts',
  ],
});
