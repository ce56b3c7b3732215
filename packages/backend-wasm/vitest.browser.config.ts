import { inChromium } from '@batchnorm/browser/vitest-config';

export default inChromium({
  name: 'backend-wasm',
  include: ['test/conformance.test.ts'],
  backends: ['wasm-1@chromium', 'wasm-2@chromium'],
});
