// The whole kit, under Jest.
import { describeConformance } from '@batchnorm/conformance';
import { describe, expect, it } from '@jest/globals';
import { createToyBackend } from '../src/toy-backend.js';

describeConformance('toy', createToyBackend, { describe, it, expect });
