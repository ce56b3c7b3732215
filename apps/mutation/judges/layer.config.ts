// The layer's own tests, and the kit through it.
import { judgedBy } from './judged-by.js';

export default judgedBy('packages/core-api/test/*.test.ts', 'apps/mutation/judges/kit-on-js.test.ts');
