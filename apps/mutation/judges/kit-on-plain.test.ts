// The kit alone, on the plain backend of its tests.
import * as core from '@batchnorm/core-api';
import { createPlainBackend } from '../../../packages/conformance/test/plain-backend.js';
import { kitOn } from './kit.js';

kitOn(() => createPlainBackend(core));
