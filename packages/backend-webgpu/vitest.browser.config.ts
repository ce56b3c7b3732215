import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-webgpu',
  include: ['test/*.test.ts'],
  dependencies: [
    'fast-check',
    '@batchnorm/testing > pure-rand/distribution/uniformFloat64',
    '@batchnorm/testing > pure-rand/generator/mersenne',
  ],
  backends: ['webgpu@chromium'],
});
