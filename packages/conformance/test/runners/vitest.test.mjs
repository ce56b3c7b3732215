// The kit under vitest as it is, for describe-conformance.test.ts to run a part of.
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createCountingBackend } from './counting-backend.mjs';

describeConformance('counting', createCountingBackend, vitest);
