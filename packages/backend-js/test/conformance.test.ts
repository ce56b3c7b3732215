// The kit, in Node; in Chromium without large activations, which the same code computes.
import { nameHere } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createJsBackend } from '../src/index.js';

describeConformance(nameHere('js'), createJsBackend, vitest, { quick: 'document' in globalThis });
