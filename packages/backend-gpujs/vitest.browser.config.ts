import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-gpujs',
  include: ['test/*.test.ts'],
  dependencies: [
    'gpu.js',
    '@batchnorm/testing > pure-rand/distribution/uniformFloat64',
    '@batchnorm/testing > pure-rand/generator/mersenne',
  ],
  backends: ['cpu', 'webasm', 'webgl', 'webgl2', 'webgpu'].map((mode) => `gpujs-${mode}@chromium`),
});
