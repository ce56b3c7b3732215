// The golden cases, through the kit that every backend uses; in Node and in Chromium.
import { nameHere } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createJsBackend } from '../src/index.js';

describeConformance(nameHere('js'), createJsBackend, vitest);
