// The kit under node:test as it is, for describe-conformance.test.ts to run a part of.
import * as test from 'node:test';
import { describeConformance } from '@batchnorm/conformance';
import { createCountingBackend } from './counting-backend.mjs';

describeConformance('counting', createCountingBackend, test);
