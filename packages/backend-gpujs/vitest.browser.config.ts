import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-gpujs',
  include: ['test/conformance.test.ts'],
  backends: ['cpu', 'webasm', 'webgl', 'webgl2', 'webgpu'].map((mode) => `gpujs-${mode}@chromium`),
});
