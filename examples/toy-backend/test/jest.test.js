// The kit without large activations, under Jest.
import { describeConformance } from '@batchnorm/conformance';
import * as jest from '@jest/globals';
import { createToyBackend } from '../src/toy-backend.js';

describeConformance('toy', createToyBackend, jest, { quick: true });
