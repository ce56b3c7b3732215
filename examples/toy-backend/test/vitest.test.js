// The kit without large activations, under vitest.
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createToyBackend } from '../src/toy-backend.js';

describeConformance('toy', createToyBackend, vitest, { quick: true });
