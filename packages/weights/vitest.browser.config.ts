import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'weights',
  include: ['test/in-a-page.test.ts'],
  backends: ['js@chromium'],
  dependencies: ['fflate'],
});
