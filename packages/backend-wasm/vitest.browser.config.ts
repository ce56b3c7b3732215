import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-wasm',
  include: ['test/conformance.test.ts'],
  backends: ['wasm@chromium', 'wasm-single@chromium'],
});
