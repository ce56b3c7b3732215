// Prints every backend on every platform that it is for, in the form of REQUIRE_BACKENDS: .ci/run lets none be skipped.
import { backendsOn } from './backends.js';

const inChromium = backendsOn('chromium').map((name) => `${name}@chromium`);
console.log([...backendsOn('node'), ...inChromium].join(','));
