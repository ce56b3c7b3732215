import { inNode } from '../../vitest.node.js';

export default inNode({
  slow: [
    'test/command/main.test.ts',
    'test/report/accessibility.test.ts',
    'test/conformance.test.ts',
    'test/describe-conformance.test.ts',
    'test/float16.test.ts',
    'test/layer-mutants.test.ts',
    'test/mutants.test.ts',
    'test/unusual-backends.test.ts',
    'test/wrong-backends.test.ts',
    'test/wrong-programs.test.ts',
  ],
});
