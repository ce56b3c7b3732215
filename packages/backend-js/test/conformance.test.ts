// The golden cases, through the kit that every backend uses.
import { describeConformance } from '@batchnorm/conformance';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';

describeConformance('js', createJsBackend, { describe, it, expect });
