import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-webgpu',
  include: ['test/*.test.ts'],
  dependencies: ['pure-rand/distribution/uniformFloat64', 'pure-rand/generator/mersenne'],
  backends: ['webgpu@chromium'],
});
