import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'batchnorm',
  include: ['test/*.test.ts'],
  dependencies: ['@batchnorm/backend-gpujs > gpu.js'],
  backends: ['js@chromium'],
});
