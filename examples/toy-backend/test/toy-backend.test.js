// The whole kit, under Node's own test runner.
import { describe, it } from 'node:test';
import { describeConformance } from '@batchnorm/conformance';
import { createToyBackend } from '../src/toy-backend.js';

describeConformance('toy', createToyBackend, { describe, it });
