// The kit alone, on backend-js: the judge of its passes and of the host kernels.
import { createJsBackend } from '@batchnorm/backend-js';
import { kitOn } from './kit.js';

kitOn(createJsBackend);
