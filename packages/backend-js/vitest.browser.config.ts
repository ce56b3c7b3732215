import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-js',
  include: ['test/conformance.test.ts'],
  backends: ['js@chromium'],
});
