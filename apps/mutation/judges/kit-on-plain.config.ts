import { judgedBy } from './judged-by.js';

export default judgedBy('apps/mutation/judges/kit-on-plain.test.ts');
