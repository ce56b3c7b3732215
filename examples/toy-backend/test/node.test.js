// The whole kit, under Node's own test runner.
import * as test from 'node:test';
import { describeConformance } from '@batchnorm/conformance';
import { createToyBackend } from '../src/toy-backend.js';

describeConformance('toy', createToyBackend, test);
