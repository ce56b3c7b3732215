// Prints every backend on every platform that it is for, as REQUIRE_BACKENDS has them: .ci/run lets none of them be skipped.
import { backendsOn } from './backends.js';

const inChromium = backendsOn('chromium').map((name) => `${name}@chromium`);
console.log([...backendsOn('node'), ...inChromium].join(','));
